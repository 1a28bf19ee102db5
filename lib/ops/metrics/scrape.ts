import type { Knex } from 'knex';
import type { TreeStatus } from '../../cluster/status';
import type { Issue } from '../../health/issues';
import { judge } from '../../health/judge';
import { StatusCollector } from '../../health/status-collector';
import { msUntilDue, overdueByQueue } from '../../job/outbox/table';
import { ProcessList } from '../../job/processes/process-list';
import { type QueueStatus, queueNames, readQueues } from '../../job/queue/queue-status';
import { sizeOfSet } from '../../job/sets/scan';
import { History, type HistoryCounters } from '../../job/stats/history';
import type { OpsOptions } from '../ui/context';
import { expose, type Family } from './exposition';
import { JOBS, MAILS, QUEUES } from './job-families';
import { HTTP, PROCESSES, TREE } from './tree-families';

/** The text of a scrape. Scrapes at the same time are told the same. */
export class MetricsPage {
  private reading: Promise<string> | undefined;

  private readonly statusCollector: StatusCollector;

  constructor(private readonly options: OpsOptions) {
    this.statusCollector = new StatusCollector(options);
  }

  text(): Promise<string> {
    this.reading ??= this.readAll().finally(() => {
      this.reading = undefined;
    });
    return this.reading;
  }

  private async readAll(): Promise<string> {
    return expose(FAMILIES, await read({ ...this.options, statusCollector: this.statusCollector }));
  }
}

/** What is not known by then is left out, ms: Prometheus waits for 10 s, unless it is told otherwise. */
const LIMIT_MS = 4000;
/** For what others wait for, and for what is asked last, ms. */
const SHORT_MS = 1000;

/** What one scrape has to tell. What could not be read is undefined. */
export interface Readings {
  readonly tree: TreeStatus | undefined;
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

type Sources = Pick<OpsOptions, 'config' | 'redis' | 'knex' | 'tree'> & { readonly statusCollector: StatusCollector };

/** Postgres is asked one thing after the other, so that of the worker's few connections one is enough. */
export async function read({ config, redis: { client }, knex, tree, statusCollector }: Sources): Promise<Readings> {
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
    known(tree.status()),
    known(names.then((queueList) => readQueues(client, queueList))),
    known(sizeOf('retry')),
    known(sizeOf('dead')),
    known(new History(client).counters()),
    known(new ProcessList(client).list()),
    known(client.ping()),
    fromPostgres(),
  ]);
  const { scheduled, outbox } = postgres;
  const sighting = await known(statusCollector.collect());
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

/** Counting ends here, lest it take long. */
const MOST_COUNTED = 100_000;

export interface OutboxReading {
  /** Of jobs whose outcome is still to come; at most 100,000 are counted. */
  readonly rows: number;
  /** By queue, jobs that are due and not copied to Redis yet; at most 10,000 each are counted. */
  readonly due: ReadonlyMap<string, number>;
  /** How long the oldest of these has waited, ms; 0 when there is none. */
  readonly ageMs: number;
}

export async function readOutbox(knex: Knex, queues: readonly string[]): Promise<OutboxReading> {
  const counted = await knex.raw<{ rows: { readonly size: number }[] }>(
    'select count(*)::int as size from (select 1 from job_outbox limit ?) as counted',
    [MOST_COUNTED],
  );
  const due = await overdueByQueue(knex, queues);
  const ageMs = Math.max(0, -((await msUntilDue(knex)) ?? 0));
  return { rows: counted.rows[0]?.size ?? 0, due, ageMs };
}

/** All that /ops/metrics tells, in this order. */
export const FAMILIES: readonly Family[] = [...TREE, ...PROCESSES, ...HTTP, ...JOBS, ...QUEUES, ...MAILS];
