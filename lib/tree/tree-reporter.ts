import type { Tree, TreeStatus } from '../cluster/status';
import { UserError } from '../core/errors';
import type { Events } from '../core/events';
import { type RecentEvent, recentEvent } from '../core/notable-events';
import type { Redis } from '../core/redis';
import { STOP_PHASES } from '../core/shutdown';
import { Hints } from '../job/hint/hints';
import { type QueueStatus, readQueues } from '../job/row/queue-status';
import type { Database } from '../model/database';
import { CachedProbe } from '../support/cached-probe';
import type { Deadline } from '../support/deadline';
import { PeriodicTask } from '../support/periodic-task';
import type { Service } from '../support/service';
import { HeartbeatRegistry, STATUS_TTL_S } from './heartbeat-registry';
import { TREES_WAKE } from './keys';
import { readCommand } from './remote-command';
import { writeRollup } from './time-series';

const HEARTBEAT_MS = 1000;
const IDLE_AFTER_MS = 60_000;
/** A status is sent with every nth heartbeat: every 2nd while somebody watches, else every 10th. */
const WATCHED = 2;
const UNWATCHED = 10;
/** While the tree is idle it is every 15th, and this many rollups are written together. */
const IDLE = 15;
const IDLE_ROLLUPS = 6;
/** A status that was sent within this time, ms, is there, unless Redis has lost it: half of what it is kept for. */
const KEPT_MS = (STATUS_TTL_S * 1000) / 2;

export interface TreeReporterOptions {
  readonly redis: Redis;
  readonly tree: Tree;
  readonly events: Events;
  /** Postgres, which has the latencies of the queues. */
  readonly database?: Pick<Database, 'knex'>;
  /** Interval of heartbeats, ms. Default 1000; 15 times as long while the tree is idle. */
  readonly heartbeatMs?: number;
  /** The tree is idle when it has served no request and run no job for this long, ms. Default 60,000. */
  readonly idleAfterMs?: number;
}

/**
 * Maintains the tree's entry in Redis: its heartbeat, its status and its time series. It also runs the commands that
 * are sent to the tree. The primary appoints one process for this.
 *
 * An idle tree that nobody watches sends a heartbeat only together with its status. A command or a new watcher triggers
 * the next one at once.
 */
export class TreeReporter implements Service {
  readonly name = 'tree reporter';
  private readonly task: PeriodicTask;
  private readonly heartbeatMs: number;
  private readonly registry: HeartbeatRegistry;
  private readonly hints: Hints;
  private on = false;
  private treeStatus: TreeStatus | undefined;
  /** Time at which the last status that was sent was asked for, ms on the monotonic clock. */
  private statusSentAt = Number.NEGATIVE_INFINITY;
  /** Time at which a newer status was last wanted at once. */
  private wantedAt = Number.NEGATIVE_INFINITY;
  private watched = false;
  /** @returns true while the channel of wake-ups is subscribed. undefined until this process is first appointed. */
  private isListening: (() => boolean) | undefined;
  private written = 0;
  /** Created when a job first waits. */
  private queues: CachedProbe<readonly QueueStatus[]> | undefined;
  /** Requests that the tree had served at the last pass. */
  private requests = 0;
  private activeAt = performance.now();

  constructor(private readonly options: TreeReporterOptions) {
    const { redis, events, heartbeatMs = HEARTBEAT_MS } = options;
    this.heartbeatMs = heartbeatMs;
    this.registry = new HeartbeatRegistry(redis.client);
    this.hints = new Hints(redis.client);
    events.on(
      'redis.ready',
      (event) => event.awayMs !== null && this.on && this.record(recentEvent('redis.ready', event)),
    );
    this.task = new PeriodicTask({
      everyMs: heartbeatMs,
      idle: { everyMs: heartbeatMs * IDLE, is: () => this.isResting },
      work: () => this.pass(),
      onError: (error) => {
        // A lost connection to Redis is reported by the connection itself.
        if (redis.client.isReady) events.emit('queue.error', { error, during: "keeping the tree's place in Redis" });
      },
    });
  }

  /** @param on false: another process reports from now on; true again: the status has changed, and is sent at once. */
  appoint(on: boolean): void {
    if (on && this.on) this.wake('');
    if (on === this.on) return;
    this.on = on;
    if (on) {
      this.isListening ??= this.options.redis.listen(TREES_WAKE, (id) => this.wake(id));
      this.task.start();
    } else void this.task.stop();
  }

  /** Does nothing, since a process reports only once it has been appointed. */
  async start(): Promise<void> {}

  /** Writes the last rollups. If the whole tree is stopping, it also removes the tree's entry. */
  async stop(deadline: Deadline): Promise<void> {
    if (!this.on) return;
    this.on = false;
    const { redis, tree } = this.options;
    const farewell = async () => {
      await this.task.stop();
      if (!redis.client.isReady) return;
      const treeStatus = await tree.status();
      await this.writeRollups(treeStatus);
      if (treeStatus.stopping) await this.registry.deregister(treeStatus.id);
    };
    await deadline
      .part(STOP_PHASES.treeStatus)
      .wait(farewell())
      .catch(() => undefined);
  }

  /** @param id the tree that should send its next heartbeat at once; empty means every tree. */
  private wake(id: string): void {
    if (id !== '' && id !== this.treeStatus?.id) return;
    this.wantedAt = performance.now();
    this.task.trigger();
  }

  /** An idle tree rests only while a watcher or a command can wake it. */
  private get isResting(): boolean {
    return this.isIdle && !this.watched && this.isListening?.() === true;
  }

  private get isIdle(): boolean {
    return performance.now() - this.activeAt > (this.options.idleAfterMs ?? IDLE_AFTER_MS);
  }

  private async pass(): Promise<undefined> {
    const { redis, tree } = this.options;
    if (redis.isOff) return this.look();
    if (!redis.client.isReady) return;
    const idle = this.isResting;
    // Half an interval is subtracted, since a timer that fires a moment early would otherwise cost one pass.
    const everyMs = this.heartbeatMs * (this.watched ? WATCHED : UNWATCHED - 0.5);
    const now = performance.now();
    const due = idle || this.wantedAt >= this.statusSentAt || now - this.statusSentAt >= everyMs;
    if (due || !this.treeStatus) this.treeStatus = await tree.status();
    this.noteActivity(this.treeStatus);
    const { treeStatus } = this;
    const { watched, commands, known } = await this.registry.heartbeat(treeStatus.id, {
      status: due ? JSON.stringify(treeStatus) : undefined,
      aheadMs: idle ? this.heartbeatMs * (IDLE - 1) : 0,
    });
    if (!known && now - this.statusSentAt < KEPT_MS) this.noteEmptied();
    if (due) this.statusSentAt = now;
    this.watched = watched;
    if (due) await this.writeRollups(treeStatus, idle && !watched);
    await this.execute(treeStatus.id, commands);
  }

  private noteEmptied(): void {
    this.options.events.emit('redis.emptied', {});
    this.record(recentEvent('redis.emptied', {}));
  }

  private record(event: RecentEvent): void {
    this.options.tree.recordEvent(event).catch(() => undefined);
  }

  /** Without Redis it only notes whether the tree is active. */
  private async look(): Promise<undefined> {
    if (performance.now() - this.statusSentAt < this.heartbeatMs * (UNWATCHED - 0.5)) return;
    this.statusSentAt = performance.now();
    this.noteActivity(await this.options.tree.status());
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

  private async writeRollups(treeStatus: TreeStatus, idle = false): Promise<void> {
    const { redis, tree } = this.options;
    const parts = await tree.rollups(this.written);
    const last = parts.at(-1);
    if (!last || parts.length < (idle ? IDLE_ROLLUPS : 1)) return;
    const latencies = await this.latencies(treeStatus.limits.queues);
    await writeRollup(redis.client, treeStatus, last, latencies, parts.slice(0, -1));
    this.written = last.number;
  }

  /** @returns the latency of each queue, ms. Postgres is asked only while hints say that jobs wait. */
  private async latencies(names: readonly string[]): Promise<Record<string, number>> {
    const { database } = this.options;
    if (!database) return {};
    const hints = await this.hints.read(names);
    if (hints?.every(({ length }) => length === 0)) return Object.fromEntries(names.map((name) => [name, 0]));
    // While the table is locked, one such read waits at most, and nothing here waits for it.
    this.queues ??= new CachedProbe(() => readQueues(database.knex, names), { freshMs: 0 });
    const queues = await this.queues.get();
    if (!queues.ok) return {};
    return Object.fromEntries(queues.value.map(({ name, latencyMs, paused }) => [name, paused ? 0 : latencyMs]));
  }

  /**
   * Runs commands. Each is removed from its list before it begins, for two reasons. There may be two reporters for a moment.
   * And a command may end the very process that runs it, whose successor must not find it again. An operator can repeat a
   * command that is lost in this way, but replacing a worker twice cannot be undone.
   */
  private async execute(id: string, texts: readonly string[]): Promise<void> {
    for (const text of texts) {
      const mine = await this.registry.take(id, text);
      const command = readCommand(text);
      if (!mine || !command) continue;
      try {
        await this.options.tree.runCommand(command.command, [command.argument], command.by);
      } catch (error) {
        // The tree has already logged that it rejected the command.
        if (!(error instanceof UserError)) throw error;
      }
      // The next heartbeat should carry the changed status.
      this.wantedAt = performance.now();
    }
  }
}
