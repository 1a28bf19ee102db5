import { randomBytes } from 'node:crypto';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import { STOP_PHASES } from '../core/shutdown';
import type { Database } from '../model/database';
import type { ModelLookup } from '../model/model-lookup';
import type { Deadline } from '../support/async';
import type { ProgressReading } from '../support/progress';
import type { Service } from '../support/service';
import type { CronService, CronTuning } from './cron/cron-service';
import type { JobSetup } from './definition/setup';
import { Consumer } from './fetch/consumer';
import { ClassLimits, type Delivery } from './fetch/fetch-call';
import type { JobRegistry } from './job-registry';
import { OutboxService, type OutboxTuning } from './outbox/service';
import { createExecutor, type Executor, type UncaughtOutcome } from './perform/executor';
import { type HeartbeatTuning, ProcessReporter } from './processes/heartbeat';
import type { BusyJob, ProcessorCommand } from './processes/process-list';

/** Overrides of the times in the table of a stop (`core/shutdown`), ms. */
interface StopTuning {
  readonly runningJobsMs?: number;
  readonly abortedJobsMs?: number;
  readonly outcomesMs?: number;
  readonly leastMs?: number;
}

export interface JobProcessorOptions {
  readonly config: Pick<Config, 'jobs' | 'environment'>;
  readonly redisUrl: string;
  /** Reaches Postgres itself, not a pooler in front of it. Default: the database's own URL. */
  readonly databaseDirectUrl?: string | undefined;
  readonly database: Database;
  /** Started before this service, and stopped after it. */
  readonly redis: Redis;
  readonly events: Events;
  readonly registry: JobRegistry;
  readonly setup?: JobSetup;
  /** Loads arguments that are models. */
  readonly models?: ModelLookup;
  readonly lineage?: Lineage | undefined;
  readonly tuning?: ProcessorTuning;
  /** The app's name in the list of processes. */
  readonly app?: string;
  /**
   * Called with a command that was sent through Redis. Default: the processor carries it out itself; `stop` then
   * means `quiet`, since there is no process to end.
   */
  readonly onCommand?: (command: ProcessorCommand) => void;
}

/** The identity of a processor, and the dead ones whose jobs it rescues. */
export interface Lineage {
  /** Unique among all processors, past ones included. */
  readonly identity: string;
  /** Processors that are known to be dead. */
  readonly dead: readonly string[];
  /** true: it starts quiet, as its predecessor was. Default false. */
  readonly quiet?: boolean;
}

export interface ProcessorTuning extends HeartbeatTuning {
  /**
   * Time without a sign of life after which bee-queue's own stall check returns a job, ms. Default 30,000. For jobs of
   * plain bee-queue workers and of processors that are not listed; `unresponsiveMs` finds ours sooner.
   */
  readonly stallInterval?: number;
  readonly cron?: CronTuning;
  readonly outbox?: OutboxTuning;
  /** false: the outcomes of jobs and mails are not counted. Default true. */
  readonly history?: boolean;
  /** How long after its timeout a handler that still runs is reported, ms. Default 10,000. */
  readonly graceMs?: number;
  /** How long a job that this app cannot run is left to others, from when it became due, ms. Default 21 days. */
  readonly leftForMs?: number;
  /** How long a handler may go on after an uncaught error of its code, ms. Default 10,000. */
  readonly uncaughtGraceMs?: number;
  /** Maximum interval of the poll for jobs that no notification announced, ms. Default 2000; with many queues 500. */
  readonly pollMs?: number;
  readonly stop?: StopTuning;
  /** Timeout for storing the cursor and progress of a job, ms. Default 250. */
  readonly checkpointMs?: number;
  readonly random?: () => number;
  readonly now?: () => number;
}

const NOTHING_DUE: ProgressReading = { movedMs: null, owedMs: 0, error: undefined };

/** Runs the jobs of one process: outbox to Redis, Redis to `perform`, outcomes back. */
export class JobProcessor implements Service {
  readonly name = 'job processor';
  private readonly executor: Executor;
  private readonly outbox: OutboxService;
  /** undefined when no class has recurring jobs. */
  private readonly cron: CronService | undefined;
  private readonly limits: ClassLimits;
  private readonly reporter: ProcessReporter;
  private readonly identity: string;
  private consumer: Consumer | undefined;
  private stopping: Promise<void> | undefined;
  private isQuiet: boolean;
  private causeUnknown = false;

  constructor(private readonly options: JobProcessorOptions) {
    this.isQuiet = options.lineage?.quiet ?? false;
    this.identity = options.lineage?.identity ?? randomBytes(6).toString('hex');
    const { config, database, redis, events, registry, tuning = {} } = options;
    this.limits = new ClassLimits(registry);
    this.executor = createExecutor({
      knex: database.knex,
      redis: redis.client,
      registry,
      events,
      setup: options.setup ?? {},
      models: options.models,
      onFinished: (queue, id) => this.outbox.finished(queue, id),
      onDied: (queue, id) => this.outbox.died(queue, id),
      tuning,
    });
    this.outbox = new OutboxService({
      database,
      listenUrl: options.databaseDirectUrl,
      redis,
      events,
      production: config.environment === 'production',
      identity: this.identity,
      queues: config.jobs.queues.map((queue) => queue.name),
      isRunning: (id) => this.consumer?.fetcher.isRunning(id) ?? false,
      onCronNotice: () => this.cron?.trigger(),
      onClockJump: () => {
        this.cron?.trigger();
        this.consumer?.lookAnew();
      },
      tuning: tuning.outbox,
    });
    this.cron = loadCronService(options, this.outbox);
    this.reporter = new ProcessReporter({
      config,
      database,
      redis,
      events,
      app: options.app ?? '',
      identity: this.identity,
      dead: options.lineage?.dead ?? [],
      tuning,
      history: tuning.history ?? true,
      fullQueues: () => this.outbox.fullQueues,
      leads: () => this.outbox.leads,
      isIdle: () => this.outbox.isIdle,
      knowsClass: (name) => registry.get(name) !== undefined,
      snapshot: () => this.snapshot(),
      activeAt: () => this.consumer?.fetcher.activeAt ?? performance.now(),
      onForgotten: () => this.outbox.compareSoon(),
      onCommand: options.onCommand ?? ((command) => (command === 'resume' ? this.resume() : this.quiet())),
    });
  }

  /** Resolves at once, even if Redis and Postgres do not answer: the work begins when they do. */
  async start(): Promise<void> {
    if (this.consumer || this.stopping) return;
    const { config, redisUrl, redis, events, tuning = {} } = this.options;
    this.warnOfIdleQueues();
    this.consumer = new Consumer({
      redisUrl,
      redis,
      queues: config.jobs.queues,
      weighted: config.jobs.weighted,
      budget: config.jobs.concurrency,
      limits: this.limits,
      identity: this.identity,
      stallInterval: tuning.stallInterval ?? 30_000,
      pollMs: tuning.pollMs,
      handler: (delivery) => this.executor.perform(delivery),
      onStalled: (id, queue) => events.emit('job.rescued', { id, queue }),
      onError: (error, during) => events.emit('queue.error', { error, during }),
    });
    if (this.isQuiet) this.consumer.fetcher.quiet();
    this.outbox.start();
    if (!this.isQuiet) this.cron?.start();
    this.reporter.start();
    await this.consumer.start();
  }

  /** Stops fetching; running jobs go on. */
  quiet(): void {
    this.isQuiet = true;
    this.consumer?.fetcher.quiet();
    void this.cron?.task.stop();
    this.reporter.changed();
  }

  /** Undoes `quiet`, but not a stop. */
  resume(): void {
    if (this.stopping) return;
    this.isQuiet = false;
    this.consumer?.fetcher.resume();
    if (this.consumer) this.cron?.start();
    this.reporter.changed();
  }

  /** Returns the jobs of a processor that is known to be dead to their queues. */
  rescueOrphans(identity: string): void {
    this.reporter.rescueOrphans(identity);
  }

  /**
   * Called in the handler of an uncaught error: fails the job whose code raised it, which the execution context names.
   * If it names none, any job may be the cause, so the process has to end, and the jobs that it returns keep their
   * delivery counted, as if the process had died.
   */
  failRunOf(error: Error): UncaughtOutcome {
    const outcome = this.executor.failRunOf(error);
    if (outcome === 'unknown') this.causeUnknown = true;
    return outcome;
  }

  /**
   * Lets running jobs finish; late ones are aborted and return to the head of their queue, without using up a retry.
   */
  stop(deadline: Deadline): Promise<void> {
    this.stopping ??= this.drain(deadline);
    return this.stopping;
  }

  /** false: notifications of Postgres do not arrive; null: not known yet. */
  get listening(): boolean | null {
    return this.outbox.listening;
  }

  /** Progress of fetching, the relay, LISTEN and recurring jobs. */
  get progress(): Readonly<Record<'fetch' | 'relay' | 'listen' | 'cron', ProgressReading | undefined>> {
    return {
      fetch: this.isQuiet ? undefined : this.consumer?.fetcher.progress.read(),
      relay: this.outbox.relayProgress.read(),
      listen: this.outbox.listenProgress.read(),
      cron: this.isQuiet ? undefined : (this.cron?.progress.read() ?? NOTHING_DUE),
    };
  }

  /** Queues with jobs that are due, as last read; none during a stop, since they then wait for another processor. */
  get waiting(): ProcessReporter['waiting'] {
    return this.stopping ? [] : this.reporter.waiting;
  }

  /** Jobs that this processor leaves to others, since its code cannot run them, by class. */
  get left() {
    return this.executor.failures.left;
  }

  snapshot(): { readonly running: readonly BusyJob[]; readonly quiet: boolean } {
    const running = [...this.executor.runs].map((run) => ({
      id: run.id,
      class: run.class,
      queue: run.queue,
      attempt: run.attempt,
      startedAt: run.startedAt,
    }));
    return { running, quiet: this.isQuiet };
  }

  private async drain(given: Deadline): Promise<void> {
    const { consumer, outbox, executor } = this;
    if (!consumer) return;
    const { runningJobsMs, abortedJobsMs, outcomesMs, leastMs } = this.options.tuning?.stop ?? {};
    const deadline = given.part({ ...STOP_PHASES.processor, ...(leastMs !== undefined && { minMs: leastMs }) });
    const step = (name: 'runningJobs' | 'abortedJobs' | 'outcomes', maxMs: number | undefined) =>
      deadline.part({ ...STOP_PHASES[name], ...(maxMs !== undefined && { maxMs }) });
    this.quiet();
    this.reporter.drains();
    const quieted = Promise.all([outbox.quiet(deadline), deadline.wait(Promise.resolve(this.cron?.task.stop()))]);
    const { fetcher } = consumer;
    if ((await step('runningJobs', runningJobsMs).wait(fetcher.handlersEnded())) === 'late') {
      executor.abort(new Error('the process is stopping'), this.causeUnknown);
      await step('abortedJobs', abortedJobsMs).wait(fetcher.handlersEnded());
      const returned = (delivery: Delivery, applied: boolean) =>
        this.announceReturn(delivery.id, delivery.queue, applied);
      fetcher.returnRunning(returned, this.causeUnknown);
    }
    await step('outcomes', outcomesMs).wait(fetcher.idle());
    await quieted;
    await outbox.stop(deadline);
    await this.reporter.stop(deadline.part(STOP_PHASES.deregistration));
    consumer.close();
  }

  private announceReturn(id: string, queue: string, applied: boolean): void {
    const jobName = [...this.executor.runs].find((run) => run.id === id)?.class ?? 'unknown';
    this.options.events.emit(applied ? 'job.released' : 'job.fenced', { id, class: jobName, queue });
  }

  private warnOfIdleQueues(): void {
    const { config, registry, events } = this.options;
    const served = new Set(config.jobs.queues.map((queue) => queue.name));
    for (const jobClass of registry) {
      if (served.has(jobClass.queue)) continue;
      const message = `${jobClass.name} uses the queue ${jobClass.queue}, which JOB_QUEUES does not list: it does not run here`;
      events.emit('process.warning', { message });
    }
  }
}

/**
 * @returns undefined when no class has a `static cron`.
 * @throws UserError that names the class, for a schedule that cannot be read.
 */
function loadCronService(
  { registry, setup, models, database, events, tuning }: JobProcessorOptions,
  { gate }: OutboxService,
): CronService | undefined {
  if (![...registry].some(({ cron }) => cron !== undefined && cron !== null)) return undefined;
  // Loaded on demand: many apps have no recurring jobs.
  const { cronEntries } = require('./cron/schedule') as typeof import('./cron/schedule');
  const { CronService } = require('./cron/cron-service') as typeof import('./cron/cron-service');
  const entries = cronEntries(registry, { serializers: setup?.serializers, models });
  return new CronService({ knex: database.knex, events, entries, tuning: tuning?.cron, gate });
}
