import os from 'node:os';
import { type Config, version } from '../../core/config';
import type { Events } from '../../core/events';
import { HeartbeatRegistry, type HeartbeatReply } from '../../core/heartbeat-registry';
import { ProcessMetricsSampler } from '../../core/process-metrics';
import type { Redis } from '../../core/redis';
import type { Database } from '../../model/database';
import { Deadline, deferred, toError } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { processKey } from '../hint/keys';
import { type RescuedJob, rescue, showLife } from '../row/claim';
import { MailTally } from '../stats/class-stats';
import { JobStats, StatsFlusher } from '../stats/collector';
import { type DueQueue, LatencyMonitor } from './latency-monitor';
import {
  BUSY_SHOWN,
  type BusyJob,
  isProcessorCommand,
  PROCESS_KEYS,
  type ProcessInfo,
  type ProcessorCommand,
  readProcessInfo,
  treeIdOf,
  UNKNOWN,
} from './process-info';

const HEARTBEAT_MS = 1000;
const INFO_INTERVAL_MS = 5000;
/** Interval of the tries to rescue the jobs of processors that have died, ms, should one fail. */
const ORPHANS_MS = 10_000;
/** The first heartbeat waits for the first try for at most this long, ms. */
const FIRST_RESCUE_MS = 2000;
/** A job that has run for this long makes its processor show itself, ms; silence is noticed after 25 s. */
const LONG_MS = 10_000;
const LIFE_MS = 5000;

export interface ProcessReporterOptions {
  readonly config: Pick<Config, 'jobs'>;
  readonly database: Database;
  /** undefined: there is none, so that no list of processors has this one. */
  readonly redis: Redis | undefined;
  readonly events: Events;
  readonly app: string;
  readonly identity: string;
  /** Identities of processors that are known to have ended. */
  readonly dead: readonly string[];
  readonly tuning: HeartbeatTuning;
  /** true: it counts the outcomes of jobs and mails. */
  readonly history: boolean;
  /** @returns true while no job is enqueued or run anywhere. */
  readonly isIdle: () => boolean;
  readonly snapshot: () => { readonly running: readonly BusyJob[]; readonly quiet: boolean };
  readonly onCommand: (command: ProcessorCommand) => void;
  /** @returns the time at which it last had a job, ms on the monotonic clock. */
  readonly activeAt: () => number;
  /** Called with jobs that were returned to their queues, since their processor has died. */
  readonly onRescued: (jobs: readonly RescuedJob[]) => void;
  /** @returns true when the app has a job class of that name. */
  readonly knowsClass: (className: string) => boolean;
}

interface DeadProcessor {
  readonly identity: string;
  /** undefined: the primary has seen it die. */
  readonly silent?: Pick<ProcessInfo, 'host' | 'pid'> & { readonly heartbeatAgeMs: number };
}

/** Reports a processor while it runs: signs of life, heartbeats and status, the latency of its queues, and statistics. */
export class ProcessReporter {
  private readonly heartbeat: Heartbeat | undefined;
  private readonly orphans: PeriodicTask;
  private readonly life: PeriodicTask;
  private readonly latency: LatencyMonitor;
  private readonly stats: JobStats;
  private readonly mails = new MailTally();
  private readonly flusher: StatsFlusher;
  private readonly accounts: PeriodicTask;
  private endTally: (() => void) | undefined;
  private processMetrics: ProcessMetricsSampler | undefined;
  private stopping = false;
  private readonly rescuedOnce = deferred();
  private mayShow: Promise<unknown> = this.rescuedOnce.promise;
  private readonly startedAt = Date.now();
  /** Processors whose jobs are still to be returned. */
  private readonly dead: DeadProcessor[];
  private readonly version = version();

  constructor(private readonly options: ProcessReporterOptions) {
    const { config, database, redis, events, identity, tuning, onCommand } = options;
    const everyMs = tuning.infoMs ?? INFO_INTERVAL_MS;
    this.dead = options.dead.map((identity) => ({ identity }));
    this.heartbeat =
      redis &&
      new Heartbeat({
        ...tuning,
        redis,
        events,
        identity,
        describe: (redisMs) => this.describe(redisMs),
        activeAt: options.activeAt,
        mayShow: () => this.mayShow,
        onCommand,
        onUnresponsive: (others, silentMs) => this.rescueSilent(others, silentMs),
      });
    this.orphans = new PeriodicTask({
      everyMs: ORPHANS_MS,
      work: () => this.rescueFromDead().finally(this.rescuedOnce.resolve),
      onError: (error) =>
        events.emit('queue.error', { error, during: 'returning the jobs of a processor that has died' }),
    });
    this.life = new PeriodicTask({
      everyMs: LIFE_MS,
      work: () => this.showLife(),
      onError: (error) => events.emit('queue.error', { error, during: 'showing that the job processor lives' }),
    });
    this.latency = new LatencyMonitor({
      redis: redis?.client,
      knex: database.knex,
      events,
      queues: this.queues,
      warningMs: config.jobs.latencyWarningMs,
      everyMs,
      isIdle: options.isIdle,
    });
    this.stats = new JobStats(Date.now, options.knowsClass);
    this.flusher = new StatsFlusher(this.stats, identity, this.mails);
    this.accounts = new PeriodicTask({ everyMs, work: () => this.account(), onError: (error) => this.report(error) });
  }

  start(): void {
    this.processMetrics = new ProcessMetricsSampler();
    // Before the first heartbeat, so that nobody sees both processes.
    this.orphans.start();
    this.mayShow = Deadline.after(FIRST_RESCUE_MS).wait(this.rescuedOnce.promise);
    this.heartbeat?.start();
    this.life.start();
    this.latency.task.start();
    this.accounts.start();
    const { events, history, redis } = this.options;
    // Without Redis nobody would ever take the counts.
    if (this.endTally || !history || !redis) return;
    const ends = [this.stats.listen(events), this.mails.listen(events)];
    this.endTally = () => {
      for (const end of ends) end();
    };
  }

  /** Call when the status has changed; it is reported at once. */
  changed(): void {
    this.heartbeat?.trigger();
  }

  /** Rescues the jobs of a processor that has ended without returning them. */
  rescueOrphans(identity: string): void {
    this.dead.push({ identity });
    this.orphans.trigger();
  }

  /** Returns the jobs of processors that have died to the heads of their queues. */
  private async rescueFromDead(): Promise<undefined> {
    const { database, redis, tuning, events } = this.options;
    const { heartbeatMs = HEARTBEAT_MS } = tuning;
    for (let next = this.dead[0]; next !== undefined; next = this.dead[0]) {
      const { identity, silent } = next;
      // Its last sign in Postgres may be a little younger than its last heartbeat.
      const silentMs = silent && silent.heartbeatAgeMs - 2 * heartbeatMs;
      const jobs = await rescue(database.knex, { identity, silentMs });
      if (silent) events.emit('processor.rescued', { identity, ...silent, jobs: jobs.length });
      this.rescued(jobs);
      if (!silent && redis?.client.isReady) await this.heartbeat?.deregister(identity).catch(() => undefined);
      this.dead.shift();
    }
  }

  /** Does the same for processors whose heartbeats have ceased, unless Postgres knows that they live. */
  private async rescueSilent(others: readonly ProcessInfo[], heartbeatAgeMs: number): Promise<void> {
    for (const { identity, host, pid } of others) {
      // Of several that have noticed it, one acts.
      if (!(await this.heartbeat?.deregister(identity))) continue;
      this.dead.push({ identity, silent: { host, pid, heartbeatAgeMs } });
      this.orphans.trigger();
    }
  }

  private rescued(jobs: readonly RescuedJob[]): void {
    for (const { id, queue } of jobs) this.options.events.emit('job.rescued', { id, queue });
    if (jobs.length > 0) this.options.onRescued(jobs);
  }

  /** A processor that runs something long shows itself, or its jobs would be given to others. Short jobs need no such sign. */
  private async showLife(): Promise<undefined> {
    const { database, identity, snapshot } = this.options;
    const now = Date.now();
    if (snapshot().running.some(({ startedAt }) => now - startedAt > LONG_MS)) await showLife(database.knex, identity);
  }

  /** Call when the processor drains; its status shows `stopping` at once. */
  drains(): void {
    this.stopping = true;
    this.heartbeat?.trigger();
  }

  /** Call it when no job is running any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.endTally?.();
    await deadline.wait(
      Promise.all([this.latency.task, this.accounts, this.orphans, this.life].map((task) => task.stop())),
    );
    await deadline.wait(this.account()).catch((error: unknown) => this.report(toError(error)));
    await this.heartbeat?.stop(deadline);
  }

  /** Queues with jobs that are due, as last read. */
  get waiting(): readonly DueQueue[] {
    return this.latency.waiting;
  }

  /** Flushes the statistics; while Redis is unavailable they are kept in memory. */
  private async account(): Promise<undefined> {
    const { redis } = this.options;
    if (redis?.client.isReady) await this.flusher.send(redis.client);
  }

  private report(error: Error): void {
    const { redis, events } = this.options;
    if (redis?.client.isReady) events.emit('queue.error', { error, during: 'sending the history of jobs to Redis' });
  }

  private get queues(): string[] {
    return this.options.config.jobs.queues.map((queue) => queue.name);
  }

  private describe(redisMs: number | null): ProcessInfo {
    const { app, identity, config, snapshot } = this.options;
    const { running, quiet } = snapshot();
    const { rssMb = 0, lagP99Ms = 0, utilization = 0 } = this.processMetrics?.read() ?? {};
    return {
      identity,
      tree: treeIdOf(identity),
      app,
      version: this.version,
      host: os.hostname(),
      pid: process.pid,
      startedAt: this.startedAt,
      queues: this.queues,
      concurrency: config.jobs.concurrency,
      quiet,
      stopping: this.stopping,
      busyCount: running.length,
      busy: running.slice(0, BUSY_SHOWN),
      rssMb,
      lagP99Ms,
      utilization,
      redisMs,
    };
  }
}

/** TTL of a processor's status after its last heartbeat, s. */
const TTL_S = 30;
/** A processor that has missed more heartbeats itself cannot judge others, since Redis may have been unavailable. */
const MAX_MISSED_HEARTBEATS = 3;
/** An idle processor that nobody watches sends only every nth heartbeat. */
const IDLE_EVERY = 15;
/** Maximum interval between idle heartbeats, as a share of `unresponsiveMs`. */
const IDLE_SHARE = 0.6;
const IDLE_AFTER_MS = 60_000;
const UNRESPONSIVE_MS = 25_000;

export interface HeartbeatTuning {
  /** Interval of heartbeats, which also fetch commands, ms. Default 1000; 15 times as long while it is idle. */
  readonly heartbeatMs?: number | undefined;
  /** It is idle when it has run no job for this long and nobody watches it, ms. Default 60,000. */
  readonly idleAfterMs?: number | undefined;
  /** Interval at which it reports its status, checks its queues and flushes its statistics, ms. Default 5000. */
  readonly infoMs?: number | undefined;
  /** Time without heartbeats after which a processor's jobs are rescued, ms. Default 25,000. */
  readonly unresponsiveMs?: number | undefined;
}

type Shared = 'events' | 'identity' | 'activeAt' | 'onCommand';

interface HeartbeatOptions extends HeartbeatTuning, Pick<ProcessReporterOptions, Shared> {
  readonly redis: Redis;
  /** The first heartbeat waits for this. */
  readonly mayShow: () => Promise<unknown>;
  /** Called with processors that have sent no heartbeat for so long. */
  readonly onUnresponsive: (others: readonly ProcessInfo[], silentMs: number) => Promise<void>;
  /** @param redisMs duration of the last round trip, ms; null before the first. */
  readonly describe: (redisMs: number | null) => ProcessInfo;
}

/**
 * Keeps a processor on the list of processes. Each second it sends a heartbeat and receives commands, every few seconds
 * it also reports its status, and it notices unresponsive processors. Heartbeats come from the event loop, so a job that
 * blocks it for `unresponsiveMs` runs a second time elsewhere.
 *
 * While it is idle it sends fewer. A starting job, a command, a watcher, or another processor that becomes unresponsive
 * brings the next one at once.
 */
class Heartbeat {
  private readonly task: PeriodicTask;
  private readonly infoEvery: number;
  private heartbeats = 0;
  private last: HeartbeatReply | undefined;
  private redisMs: number | null = null;
  /** Executed commands that Redis has not acknowledged yet. */
  private executed: readonly string[] = [];
  private unsubscribe: (() => void) | undefined;
  private hears: () => boolean = () => false;
  /** Time before which an idle processor sends no heartbeat, ms on the monotonic clock. */
  private restsUntil = 0;
  /** Set while it rests. */
  private stopListening: (() => void) | undefined;
  private aheadMs = 0;
  private readonly registry: HeartbeatRegistry;

  constructor(private readonly options: HeartbeatOptions) {
    const { events, redis, heartbeatMs = HEARTBEAT_MS, infoMs = INFO_INTERVAL_MS } = options;
    this.registry = new HeartbeatRegistry(redis.client, PROCESS_KEYS);
    this.infoEvery = Math.max(1, Math.round(infoMs / heartbeatMs));
    this.task = new PeriodicTask({
      everyMs: heartbeatMs,
      work: () => this.pass(),
      onError: (error) => {
        // While Redis is unavailable its connection reports that.
        if (redis.client.isReady) events.emit('queue.error', { error, during: 'the heartbeat of the job processor' });
      },
    });
  }

  start(): void {
    const { events, redis, identity } = this.options;
    if (!this.unsubscribe) {
      this.unsubscribe = events.on('redis.ready', () => this.wake());
      this.hears = redis.listen(PROCESS_KEYS.wake, (id) => {
        if (id === '' || id === identity) this.trigger();
      });
    }
    this.task.start();
  }

  /** Reports the status at once, since it has changed. */
  trigger(): void {
    this.heartbeats = 0;
    this.wake();
  }

  private wake(): void {
    this.restsUntil = 0;
    this.task.trigger();
  }

  private isIdle(): boolean {
    const { activeAt, idleAfterMs = IDLE_AFTER_MS } = this.options;
    const isCalled = this.last?.watched === true || this.executed.length > 0;
    return performance.now() - activeAt() > idleAfterMs && !isCalled && this.hears();
  }

  /** A starting job ends the idle rhythm, so that a death is noticed as fast as that of any busy process. */
  private wakeOnJobStart(): void {
    this.stopListening ??= this.options.events.on('job.started', () => {
      this.stopListening?.();
      this.stopListening = undefined;
      this.wake();
    });
  }

  /** Removes a processor from the list. @returns false when somebody else has removed it before. */
  deregister(identity: string): Promise<boolean> {
    return this.registry.deregister(identity);
  }

  /** Leaves the list. Call it when no job is running any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.unsubscribe?.();
    this.stopListening?.();
    await deadline.wait(this.task.stop());
    const { client } = this.options.redis;
    if (client.isReady) await deadline.wait(this.registry.deregister(this.options.identity)).catch(() => undefined);
  }

  private async pass(): Promise<number | undefined> {
    const { redis, identity, describe, heartbeatMs = HEARTBEAT_MS, unresponsiveMs = UNRESPONSIVE_MS } = this.options;
    await this.options.mayShow();
    if (!redis.client.isReady) return undefined;
    const isIdle = this.isIdle();
    if (isIdle && performance.now() < this.restsUntil) return undefined;
    if (isIdle) this.wakeOnJobStart();
    const report = isIdle || this.heartbeats % this.infoEvery === 0;
    const restMs = isIdle ? Math.min(IDLE_EVERY * heartbeatMs, IDLE_SHARE * unresponsiveMs) : heartbeatMs;
    const aheadMs = Math.max(0, restMs - heartbeatMs);
    const begun = performance.now();
    const reply = await this.registry.heartbeat(identity, {
      info: report ? JSON.stringify(describe(this.redisMs)) : undefined,
      ttlS: TTL_S,
      executed: this.executed,
      judging: { last: this.last, gapMs: MAX_MISSED_HEARTBEATS * heartbeatMs + this.aheadMs, unresponsiveMs },
      aheadMs,
    });
    const tookMs = performance.now() - begun;
    this.redisMs = Math.round(tookMs * 10) / 10;
    this.heartbeats++;
    this.last = reply;
    this.aheadMs = aheadMs;
    // Half an interval is left to the timer, which otherwise fires a moment too early and skips one.
    if (isIdle) this.restsUntil = begun + Math.min(restMs, reply.expiresMs) - heartbeatMs / 2;
    this.execute(reply.commands);
    if (reply.unresponsive.length > 0)
      await this.options.onUnresponsive(await this.infosOf(reply.unresponsive), unresponsiveMs);
    // The round trip's time is subtracted, since jobs that block the event loop may leave it only moments in between.
    return Math.max(0, heartbeatMs - tookMs);
  }

  /** Executes new commands. A command stays in its list, and comes again, until Redis knows that it was executed. */
  private execute(commands: readonly string[]): void {
    const { events, onCommand } = this.options;
    const fresh = commands.filter((text) => !this.executed.includes(text));
    this.executed = commands;
    for (const text of fresh) {
      const [command = ''] = text.split(' ');
      if (!isProcessorCommand(command)) continue;
      events.emit('operator.command', { command: `jobs ${command}`, via: 'redis' });
      onCommand(command);
    }
  }

  private async infosOf(identities: readonly string[]): Promise<ProcessInfo[]> {
    const { client } = this.options.redis;
    return Promise.all(
      identities.map(async (identity) => {
        const info = readProcessInfo(await client.get(processKey(identity)));
        return info ?? { ...UNKNOWN, identity, queues: [] };
      }),
    );
  }
}
