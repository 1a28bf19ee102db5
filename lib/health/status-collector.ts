import type { Knex } from 'knex';
import type { Tree, TreeStatus } from '../cluster/status';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import { lookForOverdue } from '../job/dispatch/overdue';
import { isCopy } from '../job/row/installation';
import { knownQueues, type QueueStatus, readQueues } from '../job/row/queue-status';
import { CachedProbe, type ProbeOptions, type ProbeResult } from '../support/cached-probe';
import { byTextAndNumber } from '../support/text';
import { type ListedTree, TreeDirectory } from '../tree/tree-directory';
import {
  type FailingCron,
  type JobFailures,
  type MailFacts,
  type PostgresFacts,
  type RedisFacts,
  readFailingCron,
  readFailures,
  readMail,
  readPostgres,
  readRedis,
} from './probes';

/** The value, or undefined when the read failed. */
export function valueIn<T>(reading: ProbeResult<T>): T | undefined {
  return reading.ok ? reading.value : undefined;
}

/** Everything known at one moment about this tree and the services that it depends on. */
export interface SystemStatus {
  readonly at: Date;
  readonly own: ProbeResult<TreeStatus>;
  /** Every tree on this Redis, including this one. */
  readonly trees: ProbeResult<readonly ListedTree[]>;
  readonly queues: ProbeResult<readonly QueueStatus[]>;
  /** True while the database is a copy of another one, whose jobs have not been adopted. */
  readonly foreign: ProbeResult<boolean>;
  /** Failing classes and recent deaths of jobs. */
  readonly failures: ProbeResult<JobFailures>;
  readonly cron: ProbeResult<readonly FailingCron[]>;
  readonly postgres: ProbeResult<PostgresFacts>;
  /** The value is null if there is no Redis. */
  readonly redis: ProbeResult<RedisFacts | null>;
  readonly mail: ProbeResult<MailFacts>;
  /** Code or message of the error that broke the connection to Redis; null while it holds. */
  readonly redisLost: string | null;
}

export interface StatusCollectorOptions {
  readonly tree: Pick<Tree, 'status'>;
  readonly redis: Pick<Redis, 'client' | 'ping' | 'isOff'>;
  readonly knex: Knex;
  readonly events: Events;
  readonly config: Pick<Config, 'jobs'>;
  /** Overrides the intervals of all probes. Default: each probe refreshes about as often as its value changes. */
  readonly probes?: ProbeOptions;
}

/**
 * Reads the system's status once for all viewers in this process, so that load on Redis and Postgres does not grow with
 * their number.
 */
export class StatusCollector {
  private readonly own: CachedProbe<TreeStatus>;
  private readonly trees: CachedProbe<readonly ListedTree[]>;
  private readonly queues: CachedProbe<readonly QueueStatus[]>;
  private readonly foreign: CachedProbe<boolean>;
  private readonly failures: CachedProbe<JobFailures>;
  private readonly cron: CachedProbe<readonly FailingCron[]>;
  private readonly postgres: CachedProbe<PostgresFacts>;
  private readonly redis: CachedProbe<RedisFacts | null>;
  private readonly mail: CachedProbe<MailFacts>;
  private redisLost: string | null = null;

  constructor({ tree, redis, knex, events, config, probes }: StatusCollectorOptions) {
    const probe = <T>(freshMs: number, read: () => Promise<T>) => new CachedProbe(read, probes ?? { freshMs });
    const { client, isOff } = redis;
    const configured = config.jobs.queues.map((queue) => queue.name);
    const list = new TreeDirectory(client);
    this.own = probe(900, () => tree.status());
    this.trees = probe(900, async () => (isOff ? [] : list.list()));
    this.queues = probe(1900, async () => {
      const queues = await readQueues(knex, await knownQueues(knex, configured));
      if (queues.some(({ latencyMs }) => latencyMs > 0)) await lookForOverdue(knex);
      return queues;
    });
    this.foreign = probe(4900, () => isCopy(knex));
    this.failures = probe(4900, () => readFailures(isOff ? undefined : client, knex));
    this.cron = probe(9000, () => readFailingCron(knex));
    this.postgres = probe(4900, () => readPostgres(knex));
    this.redis = probe(1900, async () => (isOff ? null : readRedis(redis)));
    this.mail = probe(9000, () => readMail(knex));
    events.on('redis.lost', ({ error }) => {
      this.redisLost = 'code' in error && error.code ? String(error.code) : error.message || error.name;
    });
    events.on('redis.ready', () => {
      this.redisLost = null;
    });
  }

  /**
   * @param options.trees `now` reads the status of all trees again, for decisions about which commands a tree can follow:
   *   an operator may have seen a change on a page that another worker served a moment ago. Default: recent values suffice.
   */
  async collect({ trees: age = 'recent' }: { readonly trees?: 'recent' | 'now' } = {}): Promise<SystemStatus> {
    const readTrees = <T>(probe: CachedProbe<T>) => (age === 'now' ? probe.refresh() : probe.get());
    const [own, trees, queues, foreign, failures, cron, postgres, redis, mail] = await Promise.all([
      readTrees(this.own),
      readTrees(this.trees),
      this.queues.get(),
      this.foreign.get(),
      this.failures.get(),
      this.cron.get(),
      this.postgres.get(),
      this.redis.get(),
      this.mail.get(),
    ]);
    return {
      at: new Date(),
      own,
      trees,
      queues,
      foreign,
      failures,
      cron,
      postgres,
      redis,
      mail,
      redisLost: this.redisLost,
    };
  }
}

/** Trees send a heartbeat every second: one without any for this long, ms, is unreachable or dead. */
const UNRESPONSIVE_MS = 5000;

/** A tree whose status is known. */
export interface KnownTree {
  readonly treeStatus: TreeStatus;
  /** True for the tree of this process. */
  readonly own: boolean;
  /** Age of its last heartbeat, ms, when the tree is unresponsive; null otherwise. */
  readonly heartbeatAgeMs: number | null;
}

/** This process's tree, even if Redis does not list it, and all others, by name. Equal names get the pid appended. */
export function knownTrees(systemStatus: Pick<SystemStatus, 'own' | 'trees'>): KnownTree[] {
  const own = valueIn(systemStatus.own);
  const others = (valueIn(systemStatus.trees) ?? []).filter(({ treeStatus }) => treeStatus.id !== own?.id);
  const all: KnownTree[] = [
    ...(own ? [{ treeStatus: own, own: true, heartbeatAgeMs: null }] : []),
    ...others.map(({ treeStatus, heartbeatAgeMs }) => ({
      treeStatus,
      own: false,
      heartbeatAgeMs: heartbeatAgeMs > UNRESPONSIVE_MS ? heartbeatAgeMs : null,
    })),
  ];
  const names = all.map(({ treeStatus }) => treeStatus.name);
  return all
    .map((tree) => {
      const { treeStatus } = tree;
      const alone = names.filter((name) => name === treeStatus.name).length === 1;
      if (alone) return tree;
      return { ...tree, treeStatus: { ...treeStatus, name: `${treeStatus.name} (pid ${treeStatus.stats?.pid})` } };
    })
    .sort((a, b) => byTextAndNumber(a.treeStatus.name, b.treeStatus.name));
}
