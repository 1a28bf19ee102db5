import os from 'node:os';
import { type Config, version } from '../../core/config';
import type { Events } from '../../core/events';
import { ProcessMetricsSampler } from '../../core/process-metrics';
import type { Redis } from '../../core/redis';
import type { Database } from '../../model/database';
import type { Deadline } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import { type RescuedJob, rescue, showLife } from '../row/rescue';
import { OutcomeCounter } from '../stats/collector';
import { StatsWriter } from '../stats/stats-table';
import { HEARTBEAT_INFO_MS, Heartbeat, type HeartbeatTuning } from './heartbeat';
import { type DueQueue, LatencyMonitor } from './latency-monitor';
import { type ProcessInfo, treeId } from './process-info';

/** Interval of the tries to rescue the jobs of processors that have died, ms, should one fail. */
const ORPHANS_MS = 10_000;
/** A job that runs at two of these looks makes its processor show itself, ms; silence is noticed after 25 s. */
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
  readonly snapshot: () => { readonly running: readonly { readonly id: string }[]; readonly quiet: boolean };
  /** @returns the time at which it last had a job, ms on the monotonic clock. */
  readonly activeAt: () => number;
  /** Called with jobs that were returned to their queues, since their processor has died. */
  readonly onRescued: (jobs: readonly RescuedJob[]) => void;
  /** @returns true when the app has a job class of that name. */
  readonly knowsClass: (className: string) => boolean;
}

/** Reports a processor while it runs: signs of life, heartbeats and status, the latency of its queues, and statistics. */
export class ProcessReporter {
  private readonly heartbeat: Heartbeat | undefined;
  private readonly orphans: PeriodicTask;
  private readonly life: PeriodicTask;
  private readonly latency: LatencyMonitor;
  private readonly outcomes: OutcomeCounter;
  private readonly stats: PeriodicTask;
  private endCounting: (() => void) | undefined;
  private processMetrics: ProcessMetricsSampler | undefined;
  private stopping = false;
  private readonly startedAt = Date.now();
  /** Ids of the jobs that were running at the last look for long ones. */
  private runningBefore: ReadonlySet<string> = new Set();
  /** Identities of processors that are known to have died, whose jobs are still to be returned. */
  private readonly dead: string[];
  private readonly version = version();

  constructor(private readonly options: ProcessReporterOptions) {
    const { config, database, redis, events, identity, tuning } = options;
    const everyMs = tuning.infoMs ?? HEARTBEAT_INFO_MS;
    this.dead = [...options.dead];
    this.heartbeat =
      redis &&
      new Heartbeat({
        ...tuning,
        redis,
        events,
        identity,
        describe: () => this.describe(),
        activeAt: options.activeAt,
      });
    this.orphans = new PeriodicTask({
      everyMs: ORPHANS_MS,
      work: () => this.rescueFromDead(),
      onError: (error) =>
        events.emit('queue.error', { error, during: 'returning the jobs of a processor that has died' }),
    });
    this.life = new PeriodicTask({
      everyMs: LIFE_MS,
      work: () => this.showLife(),
      onError: (error) => events.emit('queue.error', { error, during: 'showing that the job processor lives' }),
    });
    this.latency = new LatencyMonitor({
      knex: database.knex,
      events,
      queues: this.queues,
      warningMs: config.jobs.latencyWarningMs,
      everyMs,
      isIdle: options.isIdle,
    });
    this.outcomes = new OutcomeCounter(options.knowsClass);
    const writer = new StatsWriter(database.knex, this.outcomes, identity);
    this.stats = new PeriodicTask({
      everyMs,
      work: () => writer.write().then(() => undefined),
      onError: (error) => events.emit('queue.error', { error, during: 'counting what became of jobs' }),
    });
  }

  start(): void {
    this.processMetrics = new ProcessMetricsSampler();
    this.orphans.start();
    this.heartbeat?.start();
    this.life.start();
    this.latency.task.start();
    const { events, history } = this.options;
    if (!history) return;
    this.endCounting ??= this.outcomes.listen(events);
    this.stats.start();
  }

  /** Call when the status has changed; it is reported at once. */
  changed(): void {
    this.heartbeat?.trigger();
  }

  /** Rescues the jobs of a processor that has ended without returning them. */
  rescueOrphans(identity: string): void {
    this.dead.push(identity);
    this.orphans.trigger();
  }

  /** Returns the jobs of processors that the primary has seen die to the heads of their queues. */
  private async rescueFromDead(): Promise<undefined> {
    const { database, redis } = this.options;
    for (let identity = this.dead[0]; identity !== undefined; identity = this.dead[0]) {
      this.options.onRescued(await rescue(database.knex, { identity }));
      if (redis?.client.isReady) await this.heartbeat?.deregister(identity).catch(() => undefined);
      this.dead.shift();
    }
  }

  /** A processor that runs something long shows itself, or its jobs would be given to others. Short jobs need no such sign. */
  private async showLife(): Promise<undefined> {
    const { database, identity, snapshot } = this.options;
    const before = this.runningBefore;
    this.runningBefore = new Set(snapshot().running.map(({ id }) => id));
    if ([...this.runningBefore].some((id) => before.has(id))) await showLife(database.knex, identity);
  }

  /** Call when the processor drains; its status shows `stopping` at once. */
  drains(): void {
    this.stopping = true;
    this.heartbeat?.trigger();
  }

  /** Call it when no job is running any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.endCounting?.();
    this.stats.trigger();
    await deadline.wait(
      Promise.all([this.stats.finish(), ...[this.latency.task, this.orphans, this.life].map((task) => task.stop())]),
    );
    await this.heartbeat?.stop(deadline);
  }

  /** Queues with jobs that are due, as last read. */
  get waiting(): readonly DueQueue[] {
    return this.latency.waiting;
  }

  private get queues(): string[] {
    return this.options.config.jobs.queues.map((queue) => queue.name);
  }

  private describe(): ProcessInfo {
    const { app, identity, config, snapshot } = this.options;
    const { running, quiet } = snapshot();
    const { rssMb = 0, lagP99Ms = 0, utilization = 0 } = this.processMetrics?.read() ?? {};
    return {
      identity,
      tree: treeId(identity),
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
      rssMb,
      lagP99Ms,
      utilization,
    };
  }
}
