import type { TreePicture } from '../../cluster/tree-picture';
import { History, type HistoryCounters } from '../../job/history/history';
import { ProcessList } from '../../job/pulse/process-list';
import { queueNames } from '../../job/queue/queue-names';
import { type QueueStatus, readQueues } from '../../job/queue/queue-status';
import { sizeOfSet } from '../../job/set/set-size';
import type { Issue } from '../../verdict/issue';
import { judge } from '../../verdict/judge';
import type { Lookout } from '../../verdict/lookout';
import type { OpsOptions } from '../options';
import { type OutboxReading, readOutbox } from './outbox-reading';

/** What is not known by then is left out, ms: Prometheus waits for 10 s, unless it is told otherwise. */
const LIMIT_MS = 4000;
/** For what others wait for, and for what is asked last, ms. */
const SHORT_MS = 1000;

/** What one scrape has to tell. What could not be read is undefined. */
export interface Readings {
  readonly tree: TreePicture | undefined;
  /** The dyno, or the host and port; the host alone while the primary does not answer. */
  readonly treeName: string;
  /** Of every tree on the same Redis. */
  readonly queues: readonly QueueStatus[] | undefined;
  readonly sets: Readonly<Record<'retry' | 'scheduled' | 'dead', number | undefined>>;
  readonly history: HistoryCounters | undefined;
  /** Job processors. */
  readonly processors: number | undefined;
  readonly outbox: OutboxReading | undefined;
  /** What needs a person, as the overview judges. */
  readonly issues: readonly Issue[] | undefined;
  /** How many of these are undefined. */
  readonly missing: number;
  readonly redisAnswers: boolean;
  readonly postgresAnswers: boolean;
}

type Sources = Pick<OpsOptions, 'config' | 'redis' | 'knex' | 'tree'> & { readonly lookout: Lookout };

/** Postgres is asked one thing after the other, so that of the worker's few connections one is enough. */
export async function read({ config, redis: { client }, knex, tree, lookout }: Sources): Promise<Readings> {
  const configured = config.jobs.queues.map((queue) => queue.name);
  const names = known(queueNames(client), SHORT_MS).then((found) => [...new Set([...configured, ...(found ?? [])])]);
  const sizeOf = async (set: 'retry' | 'scheduled' | 'dead') =>
    sizeOfSet(set, { redis: client, knex, queues: await names });

  const fromPostgres = async () => {
    const outbox = await known(names.then((queues) => readOutbox(knex, queues)));
    const answers = outbox !== undefined || (await known(knex.raw('select 1'), SHORT_MS)) !== undefined;
    const scheduled = answers ? await known(sizeOf('scheduled')) : undefined;
    return { outbox, answers, scheduled };
  };
  const [picture, queues, retry, dead, history, processors, pong, postgres] = await Promise.all([
    known(tree.look()),
    known(names.then((queueList) => readQueues(client, queueList))),
    known(sizeOf('retry')),
    known(sizeOf('dead')),
    known(new History(client).counters()),
    known(new ProcessList(client).list()),
    known(client.ping()),
    fromPostgres(),
  ]);
  const { scheduled, outbox } = postgres;
  const sighting = await known(lookout.look());
  const issues = sighting && judge(sighting, null, config.jobs.latencyWarningMs).issues;
  return {
    tree: picture,
    treeName: picture?.name ?? config.tree.name,
    queues,
    sets: { retry, scheduled, dead },
    history,
    processors: processors?.length,
    outbox,
    issues,
    missing: [picture, queues, retry, scheduled, dead, history, processors, outbox, issues].filter(
      (one) => !isKnown(one),
    ).length,
    redisAnswers: pong !== undefined,
    postgresAnswers: postgres.answers,
  };
}

/** undefined when it fails or takes too long. */
async function known<T>(reading: Promise<T>, limitMs = LIMIT_MS): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limitMs);
  });
  try {
    return await Promise.race([reading.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}

function isKnown(reading: unknown): boolean {
  return reading !== undefined;
}
