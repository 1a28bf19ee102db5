import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import type { Database } from '../../model/database';
import type { Deadline } from '../../support/deadline';
import { PeriodicTask } from '../../support/periodic-task';
import { type RescuedJob, rescue, showLife } from '../row/rescue';
import { OutcomeCounter } from '../stats/collector';
import { StatsWriter } from '../stats/stats-table';
import { type DueQueue, LatencyMonitor } from './latency-monitor';

/** Default interval at which a processor checks its queues and writes its statistics, ms. */
const INFO_MS = 5000;
/** Interval of the tries to rescue the jobs of processors that have died, ms, should one fail. */
const ORPHANS_MS = 10_000;
/** A job that runs at two of these looks makes its processor show itself, ms; silence is noticed after 25 s. */
const LIFE_MS = 5000;

export interface ReporterTuning {
  /** Interval at which it checks its queues and writes its statistics, ms. Default 5000. */
  readonly infoMs?: number | undefined;
}

export interface ProcessReporterOptions {
  readonly config: Pick<Config, 'jobs'>;
  readonly database: Database;
  readonly events: Events;
  readonly identity: string;
  /** Identities of processors that are known to have ended. */
  readonly dead: readonly string[];
  readonly tuning: ReporterTuning;
  /** true: it counts the outcomes of jobs and mails. */
  readonly history: boolean;
  /** @returns true while no job is enqueued or run anywhere. */
  readonly isIdle: () => boolean;
  readonly snapshot: () => { readonly running: readonly { readonly id: string }[] };
  /** Called with jobs that were returned to their queues, since their processor has died. */
  readonly onRescued: (jobs: readonly RescuedJob[]) => void;
  readonly knowsClass: (className: string) => boolean;
}

/** Reports a processor while it runs: signs of life, the latency of its queues, and statistics. */
export class ProcessReporter {
  private readonly orphans: PeriodicTask;
  private readonly life: PeriodicTask;
  private readonly latency: LatencyMonitor;
  private readonly outcomes: OutcomeCounter;
  private readonly stats: PeriodicTask;
  private endCounting: (() => void) | undefined;
  /** Ids of the jobs that were running at the last look for long ones. */
  private runningBefore: ReadonlySet<string> = new Set();
  /** Identities of processors that are known to have died, whose jobs are still to be returned. */
  private readonly dead: string[];

  constructor(private readonly options: ProcessReporterOptions) {
    const { config, database, events, identity, tuning } = options;
    const everyMs = tuning.infoMs ?? INFO_MS;
    this.dead = [...options.dead];
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
    this.orphans.start();
    this.life.start();
    this.latency.task.start();
    const { events, history } = this.options;
    if (!history) return;
    this.endCounting ??= this.outcomes.listen(events);
    this.stats.start();
  }

  /** Rescues the jobs of a processor that has ended without returning them. */
  rescueOrphans(identity: string): void {
    this.dead.push(identity);
    this.orphans.trigger();
  }

  /** Returns the jobs of processors that the primary has seen die to the heads of their queues. */
  private async rescueFromDead(): Promise<undefined> {
    const { database } = this.options;
    for (let identity = this.dead[0]; identity !== undefined; identity = this.dead[0]) {
      this.options.onRescued(await rescue(database.knex, { identity }));
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

  /** Call it when no job is running any more. */
  async stop(deadline: Deadline): Promise<void> {
    this.endCounting?.();
    this.stats.trigger();
    await deadline.wait(
      Promise.all([this.stats.finish(), ...[this.latency.task, this.orphans, this.life].map((task) => task.stop())]),
    );
  }

  get waiting(): readonly DueQueue[] {
    return this.latency.waiting;
  }

  private get queues(): string[] {
    return this.options.config.jobs.queues.map((queue) => queue.name);
  }
}
