import type { Knex } from 'knex';
import type { TreeStatus } from '../../cluster/status';
import type { Issue } from '../../health/issues';
import { judge } from '../../health/judge';
import { StatusCollector, valueIn } from '../../health/status-collector';
import { msUntilDue } from '../../job/outbox/table';
import { ProcessList } from '../../job/processes/process-list';
import type { QueueStatus } from '../../job/queue/queue-status';
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
    // A scrape tells of its own moment.
    this.statusCollector = new StatusCollector({ ...options, probes: { freshMs: 0, limitMs: LIMIT_MS } });
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

/** What one scrape has to tell. What could not be read is undefined. */
export interface Scrape {
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

type Sources = Pick<OpsOptions, 'config' | 'redis' | 'knex'> & { readonly statusCollector: StatusCollector };

/**
 * What the overview shows is read as it reads it, then what only metrics tell; nothing is read twice. Then Postgres is
 * asked one thing after the other, so that of the worker's few connections one is enough.
 */
export async function read({ config, redis: { client }, knex, statusCollector }: Sources): Promise<Scrape> {
  const status = await statusCollector.collect();
  const tree = valueIn(status.own);
  const queues = valueIn(status.queues);
  const names = queues?.map(({ name }) => name) ?? config.jobs.queues.map(({ name }) => name);
  const sizeOf = (set: 'retry' | 'scheduled' | 'dead') => sizeOfSet(set, { redis: client, knex, queues: names });
  const fromRedis = async <T>(reading: () => Promise<T>) => (status.redis.ok ? known(reading()) : undefined);
  const fromPostgres = async () => {
    if (!status.postgres.ok) return { outbox: undefined, scheduled: undefined, dead: undefined };
    const outbox = await known(readOutbox(knex, valueIn(status.outbox)));
    const dead = await known(sizeOf('dead'));
    return { outbox, dead, scheduled: await fromRedis(() => sizeOf('scheduled')) };
  };
  const [retry, history, processors, { outbox, scheduled, dead }] = await Promise.all([
    fromRedis(() => sizeOf('retry')),
    fromRedis(() => new History(client).counters()),
    fromRedis(() => new ProcessList(client).list()),
    fromPostgres(),
  ]);
  const { issues } = judge(status, null, config.jobs.latencyWarningMs);
  return {
    tree,
    treeName: tree?.name ?? config.tree.name,
    queues,
    sets: { retry, scheduled, dead },
    history,
    processors: processors?.length,
    outbox,
    issues,
    missing: [tree, queues, retry, scheduled, dead, history, processors, outbox].filter((one) => one === undefined)
      .length,
    redisAnswers: status.redis.ok,
    postgresAnswers: status.postgres.ok,
  };
}

/** undefined when it fails or takes too long. */
async function known<T>(reading: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), LIMIT_MS);
  });
  try {
    return await Promise.race([reading.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Counting ends here, lest it take long. */
const MOST_COUNTED = 100_000;

export interface OutboxReading {
  /** Of jobs whose outcome is still to come; at most 100,000 are counted. */
  readonly rows: number;
  /** By queue, jobs that are due and not copied to Redis yet; at most 10,000 each are counted. undefined: not known. */
  readonly due: ReadonlyMap<string, number> | undefined;
  /** How long the oldest of these has waited, ms; 0 when there is none. */
  readonly ageMs: number;
}

async function readOutbox(knex: Knex, due: OutboxReading['due']): Promise<OutboxReading> {
  const counted = await knex.raw<{ rows: { readonly size: number }[] }>(
    'select count(*)::int as size from (select 1 from job_outbox limit ?) as counted',
    [MOST_COUNTED],
  );
  const ageMs = Math.max(0, -((await msUntilDue(knex)) ?? 0));
  return { rows: counted.rows[0]?.size ?? 0, due, ageMs };
}

/** All that /ops/metrics tells, in this order. */
export const FAMILIES: readonly Family[] = [...TREE, ...PROCESSES, ...HTTP, ...JOBS, ...QUEUES, ...MAILS];
