import type { Knex } from 'knex';
import type { TreeStatus } from '../../cluster/status';
import { TABLES } from '../../core/config';
import type { Issue } from '../../health/issues';
import { judge } from '../../health/judge';
import { StatusCollector, valueIn } from '../../health/status-collector';
import { msUntilDue } from '../../job/outbox/table';
import { ProcessList } from '../../job/processes/process-list';
import type { QueueStatus } from '../../job/queue/queue-status';
import { sizeOfSet } from '../../job/sets/scan';
import { History, type HistoryCounters } from '../../job/stats/history';
import { valueWithin } from '../../support/async';
import type { OpsOptions } from '../ui/context';
import { expose, type Family } from './exposition';
import { JOBS, MAILS, QUEUES } from './job-families';
import { HTTP, PROCESSES, TREE } from './tree-families';

/** Produces the text of /ops/metrics. Concurrent scrapes share one reading. */
export class MetricsPage {
  private reading: Promise<string> | undefined;

  private readonly statusCollector: StatusCollector;

  constructor(private readonly options: OpsOptions) {
    // Nothing is reused between scrapes: each reports its own moment.
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

/** Parts that take longer than this, ms, are left out: Prometheus gives up after 10 s by default. */
const LIMIT_MS = 4000;

/** The values of one scrape; undefined for those that could not be read. */
export interface Scrape {
  readonly tree: TreeStatus | undefined;
  /** The dyno, or host and port; only the host while the primary does not answer. */
  readonly treeName: string;
  /** The queues of all trees on this Redis. */
  readonly queues: readonly QueueStatus[] | undefined;
  readonly sets: Readonly<Record<'retry' | 'scheduled' | 'dead', number | undefined>>;
  readonly history: HistoryCounters | undefined;
  /** Number of job processors of all trees on this Redis. */
  readonly processors: number | undefined;
  readonly outbox: OutboxReading | undefined;
  /** The issues that the overview shows. */
  readonly issues: readonly Issue[] | undefined;
  /** Number of parts that could not be read. */
  readonly missing: number;
  readonly redisAnswers: boolean;
  readonly postgresAnswers: boolean;
}

type Sources = Pick<OpsOptions, 'config' | 'redis' | 'knex'> & { readonly statusCollector: StatusCollector };

/**
 * Reads what the overview reads, then what only the metrics need, so that nothing is read twice. Postgres is queried
 * sequentially, so that a scrape takes one of the worker's few connections.
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
    fromRedis(() => new ProcessList(client).list({ watch: false })),
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

/** undefined when reading fails or takes longer than the limit. */
function known<T>(reading: Promise<T>): Promise<T | undefined> {
  return valueWithin(reading, LIMIT_MS, undefined);
}

/** Rows are counted up to this number, to bound the time. */
const MAX_COUNTED = 100_000;

export interface OutboxReading {
  /** Number of rows, one for each job without an outcome so far; at most 100,000 are counted. */
  readonly rows: number;
  /** Due jobs not yet copied to Redis, by queue; at most 10,000 each are counted. undefined: not known. */
  readonly due: ReadonlyMap<string, number> | undefined;
  /** Time that the oldest of the due jobs has waited, ms; 0 when there is none. */
  readonly ageMs: number;
}

async function readOutbox(knex: Knex, due: OutboxReading['due']): Promise<OutboxReading> {
  const counted = await knex.raw<{ rows: { readonly size: number }[] }>(
    `select count(*)::int as size from (select 1 from ${TABLES.outbox} limit ?) as counted`,
    [MAX_COUNTED],
  );
  const ageMs = Math.max(0, -((await msUntilDue(knex)) ?? 0));
  return { rows: counted.rows[0]?.size ?? 0, due, ageMs };
}

/** All metrics of /ops/metrics, in the order of the text. */
export const FAMILIES: readonly Family[] = [...TREE, ...PROCESSES, ...HTTP, ...JOBS, ...QUEUES, ...MAILS];
