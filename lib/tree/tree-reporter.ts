import type { Operations, TreeStatus } from '../cluster/status';
import { codeOf, UserError } from '../core/errors';
import { type EventMap, type Events, type RecentEvent, recentEvent } from '../core/events';
import { HeartbeatRegistry } from '../core/heartbeat-registry';
import type { Redis } from '../core/redis';
import { stopPhase } from '../core/shutdown';
import { readKnownQueues } from '../job/queue/queue-status';
import type { Database } from '../model/database';
import { Deadline, toError } from '../support/async';
import { PeriodicTask } from '../support/periodic-task';
import type { Service } from '../support/service';
import { writePart } from './time-series';
import { readCommand, TREE_KEYS } from './tree-commands';

const HEARTBEAT_MS = 1000;
/** Time for which a tree's status is kept after its last heartbeat, s. */
const STATUS_TTL_S = 60;
const IDLE_AFTER_MS = 60_000;
/** A status is sent with every nth heartbeat: every 2nd while somebody watches, else every 10th. */
const WATCHED = 2;
const UNWATCHED = 10;
/** The same while the tree is idle, and the number of rollups that are written together then. */
const IDLE = 15;
const IDLE_ROLLUPS = 6;

export interface TreeReporterOptions {
  readonly redis: Redis;
  /** The tree to report on. */
  readonly tree: Operations;
  readonly events: Events;
  /** Postgres, if this process may check whether it and Redis answer. */
  readonly database?: Pick<Database, 'ping' | 'poolUse'>;
  /** Interval of heartbeats, ms. Default 1000; 15 times as long while the tree is idle. */
  readonly heartbeatMs?: number;
  /** The tree is idle when it has served no request and run no job for this long, ms. Default 60,000. */
  readonly idleAfterMs?: number;
}

/**
 * Keeps the tree's entry in Redis: its heartbeat, its status and its time series. It also runs the commands that were
 * sent to the tree, and watches for outages of Redis and Postgres. The primary appoints one process of a tree for this.
 *
 * An idle tree that nobody watches sends a heartbeat with every status only; a command or a watcher brings the next one
 * at once.
 */
export class TreeReporter implements Service {
  readonly name = 'tree reporter';
  private readonly task: PeriodicTask;
  private readonly heartbeatMs: number;
  private readonly registry: HeartbeatRegistry;
  private readonly outages: OutageWatch | undefined;
  private on = false;
  private treeStatus: TreeStatus | undefined;
  private toldAt = Number.NEGATIVE_INFINITY;
  private watched = false;
  private hears: (() => boolean) | undefined;
  private written = 0;
  /** Requests that the tree had served when it was last looked at, and the time at which that number last changed. */
  private requests = 0;
  private activeAt = performance.now();

  constructor(private readonly options: TreeReporterOptions) {
    const { redis, database, tree, events, heartbeatMs = HEARTBEAT_MS } = options;
    this.heartbeatMs = heartbeatMs;
    this.registry = new HeartbeatRegistry(redis.client, TREE_KEYS);
    if (database) {
      const tell = (event: RecentEvent) => tree.recordEvent(event);
      const isIdle = () => this.isIdle;
      this.outages = new OutageWatch({ redis, database, events, tell, isIdle, everyMs: heartbeatMs });
    }
    this.task = new PeriodicTask({
      everyMs: heartbeatMs,
      work: () => this.pass(),
      onError: (error) => {
        // A lost connection to Redis is reported by the connection itself.
        if (redis.client.isReady) events.emit('queue.error', { error, during: "keeping the tree's place in Redis" });
      },
    });
  }

  /** @param on false: another process reports from now on. */
  appoint(on: boolean): void {
    if (on === this.on) return;
    this.on = on;
    if (on) {
      this.hears ??= this.options.redis.listen(TREE_KEYS.wake, (id) => this.wake(id));
      this.task.start();
      this.outages?.start();
    } else {
      void this.task.stop();
      void this.outages?.stop();
    }
  }

  /** It reports nothing before it is appointed. */
  async start(): Promise<void> {}

  /** Writes the last rollups; removes the tree's entry, too, if the whole tree stops. */
  async stop(deadline: Deadline): Promise<void> {
    if (!this.on) return;
    this.on = false;
    const { redis, tree } = this.options;
    const farewell = async () => {
      await Promise.all([this.task.stop(), this.outages?.stop()]);
      if (!redis.client.isReady) return;
      const treeStatus = await tree.status();
      await this.writeFigures(treeStatus);
      if (treeStatus.stopping) await this.registry.deregister(treeStatus.id);
    };
    await stopPhase(deadline, 'treeStatus')
      .wait(farewell())
      .catch(() => undefined);
  }

  /** @param id of the tree whose next heartbeat is wanted at once; empty: of all. */
  private wake(id: string): void {
    if (id !== '' && id !== this.treeStatus?.id) return;
    this.toldAt = Number.NEGATIVE_INFINITY;
    this.task.trigger();
  }

  private get isIdle(): boolean {
    return performance.now() - this.activeAt > (this.options.idleAfterMs ?? IDLE_AFTER_MS);
  }

  private async pass(): Promise<undefined> {
    const { redis, tree } = this.options;
    if (!redis.client.isReady) return;
    const idle = this.isIdle && !this.watched && this.hears?.() === true;
    // Half an interval is left to the timer, which else comes a moment too early and skips one.
    const everyMs = this.heartbeatMs * (this.watched ? WATCHED : (idle ? IDLE : UNWATCHED) - 0.5);
    const due = performance.now() - this.toldAt >= everyMs;
    if (idle && !due) return;
    if (due || !this.treeStatus) this.treeStatus = await tree.status();
    this.noteActivity(this.treeStatus);
    const { treeStatus } = this;
    const { watched, commands } = await this.registry.heartbeat(treeStatus.id, {
      info: due ? JSON.stringify(treeStatus) : undefined,
      ttlS: STATUS_TTL_S,
      aheadMs: idle ? this.heartbeatMs * (IDLE - 1) : 0,
    });
    this.outages?.redisAnswered();
    if (due) this.toldAt = performance.now();
    this.watched = watched;
    if (due) await this.writeFigures(treeStatus, idle && !watched ? IDLE_ROLLUPS : 1);
    await this.execute(treeStatus.id, commands);
  }

  /** A tree is active while it serves requests or runs jobs, or somebody watches it. */
  private noteActivity({ stats }: TreeStatus): void {
    const requests = stats.workerStatus.reduce((sum, { lastStatus }) => sum + (lastStatus.requestsCount ?? 0), 0);
    const { jobProcessor, otherJobProcessor } = stats;
    const running = [jobProcessor, otherJobProcessor].some((one) => (one?.lastStatus.inFlight?.length ?? 0) > 0);
    if (requests === this.requests && !running && !this.watched) return;
    this.requests = requests;
    this.activeAt = performance.now();
  }

  /** @param least with fewer rollups none is written yet. */
  private async writeFigures(treeStatus: TreeStatus, least = 1): Promise<void> {
    const { redis, tree } = this.options;
    const parts = await tree.rollups(this.written);
    const last = parts.at(-1);
    if (!last || parts.length < least) return;
    const queues = await readKnownQueues(redis.client, treeStatus.limits.queues);
    const latencies = queues.map(({ name, latencyMs, paused }) => [name, paused ? 0 : latencyMs] as const);
    await writePart(redis.client, treeStatus, last, Object.fromEntries(latencies), parts.slice(0, -1));
    this.written = last.number;
  }

  /**
   * Runs commands. Each is removed from its list before it begins: there may be two reporters for a moment, and a
   * command may end the very process that begins it, whose successor must not find it again. A command that is lost in
   * this way is repeated by its operator, while a worker that is replaced twice cannot be undone.
   */
  private async execute(id: string, texts: readonly string[]): Promise<void> {
    for (const text of texts) {
      const mine = await this.registry.take(id, text);
      const command = readCommand(text);
      if (!mine || !command) continue;
      try {
        await this.options.tree.runCommand(command.command, command.argument, command.by);
      } catch (error) {
        // The tree has logged already that it rejected the command.
        if (!(error instanceof UserError)) throw error;
      }
      // The next heartbeat carries the changed status.
      this.toldAt = Number.NEGATIVE_INFINITY;
    }
  }
}

type ServiceName = EventMap['service.lost']['service'];

const CHECK_INTERVAL_MS = 1000;
/**
 * Intervals of the pings while the tree is idle, ms: a Postgres that sleeps when nobody needs it may do so, and Redis
 * answers the heartbeats.
 */
const IDLE_INTERVAL_MS: Readonly<Record<ServiceName, number>> = { redis: 17_000, postgres: 1_800_000 };
/** Timeout of one ping, ms. */
const PATIENCE_MS = 2000;
/** A single broken connection is no outage, so it takes two failures in a row. */
const FAILURES = 2;

export interface OutageWatchOptions {
  readonly redis: Redis;
  readonly database: Pick<Database, 'ping' | 'poolUse'>;
  readonly events: Events;
  /** Makes the whole tree keep the event. */
  readonly tell: (event: RecentEvent) => Promise<void>;
  /** @returns true while the tree has nothing to do. Default: it is never idle. */
  readonly isIdle?: () => boolean;
  /** Interval of the checks, ms. Default 1000. */
  readonly everyMs?: number;
}

interface Seen {
  /** Time of the first failure, ms on the monotonic clock; undefined while the service answers. */
  since: number | undefined;
  failures: number;
  /** Time of the last ping, likewise. */
  pingedAt: number;
}

const unseen = (): Seen => ({ since: undefined, failures: 0, pingedAt: Number.NEGATIVE_INFINITY });

/** Pings Redis and Postgres, so that an outage is reported with its length. One process of a tree does this. */
export class OutageWatch {
  private readonly seen: Readonly<Record<ServiceName, Seen>> = {
    redis: unseen(),
    postgres: unseen(),
  };
  private readonly task: PeriodicTask;
  /** The reason why the connection to Redis broke: commands only say that there is none. */
  private lost: Error | undefined;

  constructor(private readonly options: OutageWatchOptions) {
    const { events, everyMs = CHECK_INTERVAL_MS } = options;
    events.on('redis.lost', ({ error }) => {
      this.lost = error;
    });
    this.task = new PeriodicTask({
      everyMs,
      work: async () => {
        await Promise.all([this.check('redis'), this.check('postgres')]);
        return undefined;
      },
      onError: (error) => events.emit('process.error', { error, during: 'looking whether Redis and Postgres answer' }),
    });
  }

  start(): void {
    this.task.start();
  }

  /** Stops, and forgets outages that go on: the process that is appointed next reports those. */
  async stop(): Promise<void> {
    await this.task.stop();
    for (const seen of Object.values(this.seen)) Object.assign(seen, unseen());
  }

  /** Call when Redis has answered something: an idle tree need not ping it then. */
  redisAnswered(): void {
    this.seen.redis.pingedAt = performance.now();
  }

  private async check(service: ServiceName): Promise<void> {
    const seen = this.seen[service];
    const begun = performance.now();
    const isConnected = service === 'postgres' || this.options.redis.client.isReady;
    const isDue = begun - seen.pingedAt >= IDLE_INTERVAL_MS[service];
    if (seen.since === undefined && isConnected && !isDue && this.options.isIdle?.()) return;
    seen.pingedAt = begun;
    const error = await this.failureOf(service);
    if (error === 'unknown') return;
    if (error) {
      seen.since ??= begun;
      if (++seen.failures === FAILURES) await this.tell('service.lost', { service, cause: codeOf(error) });
      return;
    }
    const { since, failures } = seen;
    seen.since = undefined;
    seen.failures = 0;
    if (since === undefined || failures < FAILURES) return;
    await this.tell('service.restored', { service, outageMs: Math.round(performance.now() - since) });
  }

  /** `unknown`: every connection of the pool is in use, which says nothing about Postgres. */
  private async failureOf(service: ServiceName): Promise<Error | undefined | 'unknown'> {
    const { redis, database } = this.options;
    if (service === 'postgres') {
      const { used, waiting, max } = database.poolUse();
      if (used >= max || waiting > 0) return 'unknown';
    } else if (!redis.client.isReady) return this.lost ?? new Error('no connection yet');
    try {
      const ping = service === 'redis' ? redis.ping() : database.ping(PATIENCE_MS);
      const answered = await Deadline.after(PATIENCE_MS).wait(ping);
      return answered === 'late' ? new Error(`no answer within ${PATIENCE_MS / 1000} s`) : undefined;
    } catch (thrown) {
      return toError(thrown);
    }
  }

  private async tell<E extends 'service.lost' | 'service.restored'>(name: E, payload: EventMap[E]): Promise<void> {
    const { events, tell } = this.options;
    events.emit(name, payload);
    // A primary that does not answer is reported elsewhere.
    await tell(recentEvent(name, payload)).catch(() => undefined);
  }
}
