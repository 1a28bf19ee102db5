import type { Knex } from 'knex';
import { REPORT_SILENT_MS, type Tree, type TreeStatus } from '../cluster/status';
import type { Config } from '../core/config';
import { codeOf } from '../core/errors';
import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import { lookForOverdue } from '../job/dispatch/overdue';
import { isCopy } from '../job/row/installation';
import { knownQueues, type QueueStatus, readQueues } from '../job/row/queue-status';
import { CachedProbe, type ProbeOptions, type ProbeResult } from '../support/cached-probe';
import { byTextAndNumber } from '../support/text-order';
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
  readSuspects,
  type Suspect,
} from './probes';

/** The value, or undefined when the read failed. */
export function valueIn<T>(reading: ProbeResult<T>): T | undefined {
  return reading.ok ? reading.value : undefined;
}

/** What is read of this tree and the services that it depends on. */
interface Readings {
  readonly own: TreeStatus;
  /** Every tree on this Redis, including this one. */
  readonly trees: readonly ListedTree[];
  readonly queues: readonly QueueStatus[];
  /** True while the database is a copy of another one, whose jobs have not been adopted. */
  readonly foreign: boolean;
  /** Failing classes and recent deaths of jobs. */
  readonly failures: JobFailures;
  readonly cron: readonly FailingCron[];
  readonly postgres: PostgresFacts;
  /** null if there is no Redis. */
  readonly redis: RedisFacts | null;
  readonly mail: MailFacts;
  /** The jobs that may have blocked or ended this tree's job processor. */
  readonly suspects: readonly Suspect[];
}

/** Everything known at one moment. */
export type SystemStatus = { readonly [K in keyof Readings]: ProbeResult<Readings[K]> } & {
  readonly at: Date;
  /** Code or message of the error that broke the connection to Redis; null while it holds. */
  readonly redisLost: string | null;
};

type Probes = { readonly [K in keyof Readings]: CachedProbe<Readings[K]> };

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
  private readonly probes: Probes;
  private redisLost: string | null = null;

  constructor({ tree, redis, knex, events, config, probes }: StatusCollectorOptions) {
    const probe = <T>(freshMs: number, read: () => Promise<T>) => new CachedProbe(read, probes ?? { freshMs });
    const { client, isOff } = redis;
    const configured = config.jobs.queues.map((queue) => queue.name);
    const list = new TreeDirectory(client);
    this.probes = {
      own: probe(900, () => tree.status()),
      trees: probe(900, async () => (isOff ? [] : list.list())),
      queues: probe(1900, async () => {
        const queues = await readQueues(knex, await knownQueues(knex, configured));
        if (queues.some(({ latencyMs }) => latencyMs > 0)) await lookForOverdue(knex);
        return queues;
      }),
      foreign: probe(4900, () => isCopy(knex)),
      failures: probe(4900, () => readFailures(knex)),
      cron: probe(9000, () => readFailingCron(knex)),
      postgres: probe(4900, () => readPostgres(knex)),
      redis: probe(1900, async () => (isOff ? null : readRedis(redis))),
      mail: probe(9000, () => readMail(knex)),
      suspects: probe(1900, async () => {
        const own = await this.probes.own.get();
        return own.ok ? readSuspects(knex, own.value) : [];
      }),
    };
    events.on('redis.lost', ({ error }) => {
      this.redisLost = codeOf(error);
    });
    events.on('redis.ready', () => {
      this.redisLost = null;
    });
  }

  /**
   * @param options.trees `now` reads the status of all trees again. It is for decisions about which commands a tree can follow:
   * an operator may have seen a change on a page that another worker served a moment ago. Default: recent values suffice.
   */
  async collect({ trees: age = 'recent' }: { readonly trees?: 'recent' | 'now' } = {}): Promise<SystemStatus> {
    const { own, trees, postgres, redis, ...others } = this.probes;
    const at = new Date();
    const [ofPostgres, ofRedis] = await Promise.all([postgres.get(), redis.get()]);
    const vain = whyInVain(ofPostgres, at);
    const ofTrees = Object.entries({ own, trees }).map(async ([name, probe]) => {
      return [name, await (age === 'now' ? probe.refresh() : probe.get())];
    });
    const rest = Object.entries(others).map(async ([name, probe]) => [name, vain ?? (await probe.get())]);
    const read = Object.fromEntries(await Promise.all([...ofTrees, ...rest])) as SystemStatus;
    return { ...read, postgres: ofPostgres, redis: ofRedis, at: new Date(), redisLost: this.redisLost };
  }
}

/**
 * Reads of tables that are locked, or that Postgres does not answer, would only hold all connections of the pool, so that it could
 * not be seen any more what is wrong.
 * @returns the result of each read from Postgres's tables; undefined: they are worth reading.
 */
function whyInVain(
  postgres: ProbeResult<PostgresFacts>,
  at: Date,
): Extract<ProbeResult<never>, { ok: false }> | undefined {
  if (!postgres.ok) return postgres;
  const { lock } = postgres.value;
  if (!lock) return undefined;
  const error = new Error(`session ${lock.pid} of Postgres holds a lock`);
  return { ok: false, error, since: new Date(at.getTime() - lock.spanMs) };
}

export interface KnownTree {
  readonly treeStatus: TreeStatus;
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
      heartbeatAgeMs: heartbeatAgeMs > REPORT_SILENT_MS ? heartbeatAgeMs : null,
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
