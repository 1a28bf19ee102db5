import type { TreeStatus } from '../../cluster/status';
import type { Issue } from '../../health/issues';
import { judge } from '../../health/judge';
import { StatusCollector, valueIn } from '../../health/status-collector';
import type { QueueStatus } from '../../job/row/queue-status';
import { countSet } from '../../job/sets/set-reader';
import type { Outcomes } from '../../job/stats/class-stats';
import { History } from '../../job/stats/history';
import { valueWithin } from '../../support/deadline';
import { processorsIn } from '../../tree/processors';
import type { OpsOptions } from '../ui/page-types';
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
  /** The queues of all trees on this Postgres. */
  readonly queues: readonly QueueStatus[] | undefined;
  readonly sets: Readonly<Record<'retry' | 'scheduled' | 'dead', number | undefined>>;
  readonly history: Outcomes | undefined;
  /** Number of job processors of all trees on this Redis. */
  readonly processors: number | undefined;
  readonly issues: readonly Issue[] | undefined;
  /** true: of all trees on this Redis it is this one that tells StatsD what they share. */
  readonly tellsShared: boolean;
  /** Number of parts that could not be read. */
  readonly missing: number;
  /** undefined: there is no Redis. */
  readonly redisAnswers: boolean | undefined;
  readonly postgresAnswers: boolean;
}

type Sources = Pick<OpsOptions, 'config' | 'knex'> & { readonly statusCollector: StatusCollector };

/**
 * Reads what the overview reads, then what only the metrics need, so that nothing is read twice. Postgres is queried
 * sequentially, so that a scrape takes one of the worker's few connections.
 */
export async function read({ config, knex, statusCollector }: Sources): Promise<Scrape> {
  const status = await statusCollector.collect();
  const tree = valueIn(status.own);
  const queues = valueIn(status.queues);
  const redisAnswers = status.redis.ok && status.redis.value === null ? undefined : status.redis.ok;
  const fromPostgres = async () => {
    if (!status.postgres.ok) return { sets: { retry: undefined, scheduled: undefined, dead: undefined } };
    const retry = await orUndefined(countSet(knex, 'retry'));
    const scheduled = await orUndefined(countSet(knex, 'scheduled'));
    const dead = await orUndefined(countSet(knex, 'dead'));
    return { sets: { retry, scheduled, dead }, history: await orUndefined(new History(knex).counters()) };
  };
  const { sets, history } = await fromPostgres();
  const trees = redisAnswers ? valueIn(status.trees) : undefined;
  const processors = trees && processorsIn(trees);
  const ofRedis = redisAnswers === undefined ? [] : [processors];
  const { issues } = judge(status, null, config.jobs.latencyWarningMs);
  return {
    tree,
    treeName: tree?.name ?? config.tree.name,
    queues,
    sets,
    history,
    processors: processors?.length,
    issues,
    tellsShared: tree !== undefined && (trees ?? []).every(({ treeStatus }) => tree.id <= treeStatus.id),
    missing: [tree, queues, ...Object.values(sets), history, ...ofRedis].filter((one) => one === undefined).length,
    redisAnswers,
    postgresAnswers: status.postgres.ok,
  };
}

/** undefined when reading fails or takes longer than the limit. */
function orUndefined<T>(reading: Promise<T>): Promise<T | undefined> {
  return valueWithin(reading, LIMIT_MS, undefined);
}

export const FAMILIES: readonly Family[] = [...TREE, ...PROCESSES, ...HTTP, ...JOBS, ...QUEUES, ...MAILS];
