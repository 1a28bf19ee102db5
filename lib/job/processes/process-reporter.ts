import os from 'node:os';
import type { Knex } from 'knex';
import { type Config, version } from '../../core/config';

import type { Events } from '../../core/events';
import { ProcessMetricsSampler } from '../../core/process-metrics';
import type { Redis, RedisClient } from '../../core/redis';
import type { Database } from '../../model/database';
import type { Deadline } from '../../support/async';
import { toError } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { countDue, msUntilDue } from '../outbox/table';
import { type QueueStatus, readKnownQueues } from '../queue/queue-status';
import { MailTally } from '../stats/class-stats';
import { JobStats, StatsFlusher } from '../stats/collector';
import { Heartbeat, type HeartbeatTuning, INFO_INTERVAL_MS } from './heartbeat';
import { BUSY_SHOWN, type BusyJob, type ProcessInfo, type ProcessorCommand, treeIdOf } from './process-info';

export interface ProcessReporterOptions {
  readonly config: Pick<Config, 'jobs'>;
  readonly database: Database;
  readonly redis: Redis;
  readonly events: Events;
  readonly app: string;
  readonly identity: string;
  /** Identities of processors that are known to have ended. */
  readonly dead: readonly string[];
  readonly tuning: HeartbeatTuning;
  /** true: it counts the outcomes of jobs and mails. */
  readonly history: boolean;
  /** @returns true while nothing happens in the outbox. */
  readonly isIdle: () => boolean;
  readonly fullQueues: () => readonly string[];
  readonly leads: () => boolean;
  readonly snapshot: () => { readonly running: readonly BusyJob[]; readonly quiet: boolean };
  readonly onCommand: (command: ProcessorCommand) => void;
  /** @returns the time at which it last had a job, ms on the monotonic clock. */
  readonly activeAt: () => number;
  /** Called when Redis may have lost its data. */
  readonly onForgotten: () => void;
  /** @returns true when the app has a job class of that name. */
  readonly knowsClass: (className: string) => boolean;
}

/** Reports a processor while it runs: heartbeats and status, the latency of its queues, and statistics. */
export class ProcessReporter {
  private readonly heartbeat: Heartbeat;
  private readonly latency: LatencyMonitor;
  private readonly stats: JobStats;
  private readonly mails = new MailTally();
  private readonly flusher: StatsFlusher;
  private readonly accounts: PeriodicTask;
  private endTally: (() => void) | undefined;
  private processMetrics: ProcessMetricsSampler | undefined;
  private stopping = false;
  private readonly startedAt = Date.now();
  private readonly version = version();

  constructor(private readonly options: ProcessReporterOptions) {
    const { config, database, redis, events, identity, dead, tuning, onCommand, fullQueues, leads } = options;
    const everyMs = tuning.infoMs ?? INFO_INTERVAL_MS;
    this.heartbeat = new Heartbeat({
      ...tuning,
      redis,
      events,
      identity,
      dead,
      queues: this.queues,
      describe: (redisMs) => this.describe(redisMs),
      onForgotten: options.onForgotten,
      activeAt: options.activeAt,
      onCommand,
    });
    this.latency = new LatencyMonitor({
      redis: redis.client,
      knex: database.knex,
      events,
      queues: this.queues,
      fullQueues,
      leads,
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
    this.heartbeat.start();
    this.latency.start();
    this.accounts.start();
    const { events, history } = this.options;
    if (this.endTally || !history) return;
    const ends = [this.stats.listen(events), this.mails.listen(events)];
    this.endTally = () => {
      for (const end of ends) end();
    };
  }

  /** Call when the status has changed; it is reported at once. */
  changed(): void {
    this.heartbeat.trigger();
  }

  /** Rescues the jobs of a processor that has ended without returning them. */
  rescueOrphans(identity: string): void {
    this.heartbeat.rescueOrphans(identity);
  }

  /** Call when the processor drains; its status shows `stopping` at once. */
  drains(): void {
    this.stopping = true;
    this.heartbeat.trigger();
  }

  /** Call it when no job is running any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.endTally?.();
    await deadline.wait(Promise.all([this.latency.stop(), this.accounts.stop()]));
    await deadline.wait(this.account()).catch((error: unknown) => this.report(toError(error)));
    await this.heartbeat.stop(deadline);
  }

  /** Queues with jobs that are due, as last read. */
  get waiting(): readonly DueQueue[] {
    return this.latency.waiting;
  }

  /** Flushes the statistics; while Redis is away they are kept in memory. */
  private async account(): Promise<undefined> {
    const { client } = this.options.redis;
    if (client.isReady) await this.flusher.send(client);
  }

  private report(error: Error): void {
    const { redis, events } = this.options;
    if (redis.client.isReady) events.emit('queue.error', { error, during: 'handing over the history of jobs' });
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

/** A queue with jobs that are due. */
export interface DueQueue {
  readonly queue: string;
  /** Time for which its oldest job has been due, ms. */
  readonly ms: number;
  readonly paused: boolean;
}

export interface LatencyMonitorOptions {
  readonly redis: RedisClient;
  readonly knex: Knex;
  readonly events: Events;
  /** The queues that this processor serves. */
  readonly queues: readonly string[];
  /** @returns full queues; their rows wait in the outbox on purpose. */
  readonly fullQueues: () => readonly string[];
  /** @returns true where the relay works, which alone knows the full queues. Default: it does. */
  readonly leads?: () => boolean;
  /** Latency above which a queue is reported, ms. 0: never. */
  readonly warningMs: number;
  /** Interval of the checks, ms. */
  readonly everyMs: number;
  /** @returns true while nothing happens in the outbox. Default: it is never idle. */
  readonly isIdle?: () => boolean;
}

/** Interval of the checks while nothing happens in the outbox, which is not asked then, ms. */
const IDLE_CHECK_MS = 30_000;

/**
 * Reports when jobs wait for too long on a queue that is served here or nowhere, or in the outbox: once when the
 * latency exceeds the limit, and once when it is back to half of it.
 */
export class LatencyMonitor {
  private readonly behind = new Set<string>();
  private outboxBehind = false;
  private due: readonly DueQueue[] = [];
  private readAt = performance.now();
  private checkedAt = Number.NEGATIVE_INFINITY;
  private readonly task: PeriodicTask;

  constructor(private readonly options: LatencyMonitorOptions) {
    // Failures of the stores are reported by the code that works with them.
    this.task = new PeriodicTask({ everyMs: options.everyMs, work: () => this.check(), onError: () => undefined });
  }

  start(): void {
    this.task.start();
  }

  stop(): Promise<void> {
    return this.task.stop();
  }

  /** The queues with jobs that are due. Since the last read these have waited on. */
  get waiting(): readonly DueQueue[] {
    const sinceMs = performance.now() - this.readAt;
    return this.due.map(({ ms, ...queue }) => ({ ...queue, ms: ms + sinceMs }));
  }

  private async check(): Promise<undefined> {
    const { redis, queues, isIdle } = this.options;
    const isCalm = !this.outboxBehind && this.behind.size === 0 && this.due.length === 0;
    const idle = isCalm && (isIdle?.() ?? false);
    if (idle && performance.now() - this.checkedAt < IDLE_CHECK_MS) return;
    this.checkedAt = performance.now();
    if (redis.isReady) {
      const known = await readKnownQueues(redis, queues);
      const unserved = await this.unservedQueues(known);
      const statuses = known.filter(({ name }) => queues.includes(name) || unserved.has(name));
      this.readAt = performance.now();
      this.due = statuses.flatMap(({ name, latencyMs, paused }) =>
        latencyMs > 0 ? [{ queue: name, ms: latencyMs, paused: paused !== undefined }] : [],
      );
      for (const status of statuses) {
        this.judgeQueue(status, queues.includes(status.name));
      }
    }
    if (!idle && this.options.warningMs > 0) await this.judgeOutbox();
  }

  private async unservedQueues(known: readonly QueueStatus[]): Promise<ReadonlySet<string>> {
    const { redis, queues } = this.options;
    const others = known.map(({ name }) => name).filter((name) => !queues.includes(name));
    if (others.length === 0) return new Set();
    // Loaded on demand: in most apps every queue is served by every processor.
    const { ProcessList } = await import('./process-list');
    const served = new Set((await new ProcessList(redis).list({ watch: false })).flatMap((one) => one.queues));
    return new Set(others.filter((name) => !served.has(name)));
  }

  private judgeQueue({ name, waiting, paused, latencyMs }: QueueStatus, served: boolean): void {
    const before = this.behind.has(name);
    // The latency of a paused queue is intended.
    const behind = !paused && this.isBehind(latencyMs, before);
    if (behind === before) return;
    const state = { queue: name, latencyMs, size: waiting };
    if (behind) {
      this.behind.add(name);
      this.options.events.emit('queue.latency-high', { ...state, served });
    } else {
      this.behind.delete(name);
      this.options.events.emit('queue.latency-normal', state);
    }
  }

  private async judgeOutbox(): Promise<void> {
    const { knex, events, fullQueues, leads } = this.options;
    if (leads?.() === false) {
      this.outboxBehind = false;
      return;
    }
    const except = fullQueues();
    const latencyMs = Math.max(0, -((await msUntilDue(knex, except)) ?? 0));
    const behind = this.isBehind(latencyMs, this.outboxBehind);
    if (behind === this.outboxBehind) return;
    const size = await countDue(knex, except);
    this.outboxBehind = behind;
    events.emit(behind ? 'outbox.latency-high' : 'outbox.latency-normal', { latencyMs, size });
  }

  private isBehind(latencyMs: number, before: boolean): boolean {
    const { warningMs } = this.options;
    return warningMs > 0 && latencyMs > (before ? warningMs / 2 : warningMs);
  }
}
