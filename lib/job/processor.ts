import { randomBytes } from 'node:crypto';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import { STOP_PHASES } from '../core/shutdown';
import type { Database } from '../model/database';
import type { ModelLookup } from '../model/model-lookup';
import type { Deadline } from '../support/deadline';
import type { ProgressReading } from '../support/progress';
import type { Service } from '../support/service';
import { CronPings } from './cron/cron-pings';
import { CronService, type CronTuning } from './cron/cron-service';
import { cronEntries } from './cron/schedule';
import type { Limits } from './definition/limits';
import { readLimits } from './definition/options';
import type { JobSetup } from './definition/setup';
import { DispatchService, type DispatchTuning } from './dispatch/dispatch-service';
import { Gate } from './dispatch/gate';
import { Fetcher } from './fetch/fetcher';
import { Admitter } from './hint/admitter';
import { BatchSettler } from './hint/batch-settler';
import { HintReader } from './hint/hint-reader';
import { Announcer, Hints } from './hint/hints';
import { PlainProducers } from './hint/plain-producers';
import type { JobRegistry } from './job-registry';
import { CancelWatch } from './perform/cancel-watch';
import { createExecutor, type Executor, type UncaughtOutcome } from './perform/executor';
import type { Run } from './perform/run';
import type { TraceRun } from './perform/run-span';
import { type ThreadSource, Threads } from './perform/threads';
import { Lifecycle } from './processes/lifecycle';
import { ProcessReporter, type ReporterTuning } from './processes/process-reporter';
import { keyringOf } from './record/encryption';
import type { CancelledRun } from './row/cancel';
import type { Delivery } from './row/job-row';
import type { RescuedJob } from './row/rescue';

/** Overrides of the times in the table of a stop (`core/shutdown`), ms. */
interface StopTuning {
  readonly runningJobsMs?: number;
  readonly abortedJobsMs?: number;
  readonly outcomesMs?: number;
  readonly leastMs?: number;
}

export interface JobProcessorOptions {
  readonly config: Pick<Config, 'jobs' | 'environment'>;
  /** Where hints are waited for; undefined: there is no Redis. */
  readonly redisUrl?: string | undefined;
  /** Reaches Postgres itself, not a pooler in front of it. Default: the database's own URL. */
  readonly databaseDirectUrl?: string | undefined;
  readonly database: Database;
  /** Started before this service, and stopped after it. undefined: there is none, and jobs are found in Postgres. */
  readonly redis?: Redis | undefined;
  readonly events: Events;
  readonly registry: JobRegistry;
  readonly setup?: JobSetup;
  readonly models?: ModelLookup;
  readonly lineage?: Lineage | undefined;
  /** How a thread for jobs is started; undefined: jobs of classes with `thread` perform here. */
  readonly thread?: ThreadSource | undefined;
  /** Default: runs are not traced. */
  readonly traceRun?: TraceRun | undefined;
  readonly tuning?: ProcessorTuning;
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

export interface ProcessorTuning extends ReporterTuning {
  readonly cron?: CronTuning;
  /** Interval of the app's `onHeartbeat`, ms. Default 10,000. */
  readonly heartbeatMs?: number;
  readonly dispatch?: DispatchTuning;
  /** false: the outcomes of jobs and mails are not counted. Default true. */
  readonly history?: boolean;
  /** How long after its timeout a handler that still runs is reported, ms. Default 10,000. */
  readonly graceMs?: number;
  /** How long a job that this app cannot run is left to others, from when it became due, ms. Default 21 days. */
  readonly leftForMs?: number;
  /** How long a handler may go on after an uncaught error of its code, ms. Default 10,000. */
  readonly uncaughtGraceMs?: number;
  readonly stop?: StopTuning;
  /** As `lookMs` in CancelWatchOptions. */
  readonly cancelLookMs?: number;
  /** Timeout for storing the cursor and progress of a job, ms. Default 250. */
  readonly checkpointMs?: number;
  /** How long a run in a thread may go on after its timeout or its cancel, ms. Default 5,000. */
  readonly threadGraceMs?: number;
  /** How long a thread without a job lives, ms. Default 30,000. */
  readonly threadIdleMs?: number;
  /** As in PlainProducersOptions. */
  readonly orphanedMs?: number;
  readonly random?: () => number;
  readonly now?: () => number;
}

/** Runs the jobs of one process: it claims rows, performs them, and records what becomes of them. */
export class JobProcessor implements Service {
  readonly name = 'job processor';
  private readonly executor: Executor;
  private readonly cancelWatch: CancelWatch;
  private readonly gate: Gate;
  private readonly fetcher: Fetcher;
  private readonly dispatch: DispatchService;
  private readonly hints: Hints | undefined;
  private readonly announcer: Announcer;
  private readonly hintReader: HintReader | undefined;
  private readonly plainProducers: PlainProducers | undefined;
  private readonly cron: CronService;
  private readonly pings: CronPings;
  private endPings: (() => void) | undefined;
  private readonly limits: Limits;
  private readonly admitter: Admitter;
  private readonly reporter: ProcessReporter;
  private readonly lifecycle: Lifecycle;
  private readonly threads: Threads | undefined;
  private readonly identity: string;
  private started = false;
  private stopping: Promise<void> | undefined;
  private isQuiet: boolean;
  private causeUnknown = false;

  constructor(private readonly options: JobProcessorOptions) {
    this.isQuiet = options.lineage?.quiet ?? false;
    this.identity = options.lineage?.identity ?? randomBytes(6).toString('hex');
    const { config, database, redis, redisUrl, events, registry, tuning = {} } = options;
    const { identity } = this;
    const { knex } = database;
    const queues = config.jobs.queues.map((queue) => queue.name);
    this.limits = readLimits(registry);
    const keys = keyringOf(config.jobs.encryptionKeys);
    this.threads =
      options.thread &&
      new Threads({
        ...options.thread,
        identity,
        most: config.jobs.threads ?? 0,
        events,
        idleMs: tuning.threadIdleMs,
        graceMs: tuning.threadGraceMs,
      });
    this.executor = createExecutor({
      knex,
      identity,
      registry,
      events,
      setup: options.setup ?? {},
      models: options.models,
      keys,
      threads: this.threads,
      traceRun: options.traceRun,
      tuning,
    });
    this.cancelWatch = new CancelWatch({
      knex,
      identity,
      executor: this.executor,
      // A stop ends the listener before the runs.
      isNotified: () => !this.stopping && this.dispatch.listening === true,
      lookMs: tuning.cancelLookMs,
      onError: (error) => events.emit('queue.error', { error, during: 'looking for jobs to cancel' }),
    });
    this.gate = new Gate({ knex, onCopy: (origin) => events.emit('database.copied', origin) });
    this.hints = redis && new Hints(redis.client);
    this.hintReader = redis && redisUrl !== undefined ? new HintReader(redis.client, redisUrl, queues) : undefined;
    this.announcer = new Announcer(knex, this.hints);
    this.admitter = new Admitter(knex, this.limits, this.announcer, false);
    const settler = new BatchSettler(knex, this.announcer);
    const admit = (keys: readonly string[]) => this.admitter.admit(keys);
    this.plainProducers =
      redis &&
      new PlainProducers({
        knex,
        redis,
        queues,
        limits: this.limits,
        admit,
        orphanedMs: tuning.orphanedMs,
        onDue: () => this.fetcher.wake(),
        onError: (error) =>
          events.emit('queue.error', { error, during: 'looking for jobs of plain bee-queue producers' }),
      });
    this.fetcher = new Fetcher({
      knex,
      identity,
      gate: this.gate,
      queues: config.jobs.queues,
      weighted: config.jobs.weighted,
      concurrency: config.jobs.concurrency,
      limits: this.limits,
      hints: this.hintReader,
      isNotified: () => this.dispatch.listening === true,
      perform: this.executor.perform.bind(this.executor),
      onBegun: () => this.dispatch.begun(),
      adopt: async (hints) => (await this.plainProducers?.adopt(hints)) ?? [],
      onReturned: (jobs) => this.announcer.announce(jobs, false, 'head'),
      onScheduled: () => this.announcer.announce([], true),
      onCancelled: (jobs) => this.tellCancelled(jobs),
      admit,
      onBatches: (ids) => settler.settle(ids),
      onError: (error) => events.emit('queue.error', { error, during: 'fetching jobs' }),
    });
    const onRescued = (jobs: readonly RescuedJob[]) => {
      const rescued = jobs.filter(({ reason }) => reason === null);
      for (const { id, queue, identity } of rescued) events.emit('job.rescued', { id, queue, identity });
      this.announcer.announce(rescued, false, 'head');
      const cancelled = jobs.flatMap(({ reason, ...job }) => (reason === null ? [] : [{ ...job, reason }]));
      this.tellCancelled(cancelled);
      // Held jobs may have their places.
      if (cancelled.length > 0) this.announcer.announce([], true);
    };
    this.dispatch = new DispatchService({
      database,
      listenUrl: options.databaseDirectUrl,
      redis,
      hints: this.hints,
      gate: this.gate,
      limits: this.limits,
      events,
      production: config.environment === 'production',
      identity,
      onMayBeReady: (unhinted) => (unhinted ? this.fetcher.scan() : this.fetcher.wake()),
      onPrioritised: () => this.fetcher.prioritised(),
      onCronNotice: () => this.cron.trigger(),
      onCancelNotice: () => this.cancelWatch.notice(),
      onRescued,
      onClockJump: () => this.fetcher.scan(),
      tuning: tuning.dispatch,
    });
    const codec = { serializers: options.setup?.serializers, models: options.models };
    const entries = cronEntries(registry, codec);
    this.cron = new CronService({ knex, events, entries, registry, codec, keys, tuning: tuning.cron, gate: this.gate });
    this.pings = new CronPings(entries, events);
    this.lifecycle = new Lifecycle({
      hooks: options.setup ?? {},
      events,
      snapshot: () => this.snapshot(),
      heartbeatMs: tuning.heartbeatMs,
    });
    this.reporter = new ProcessReporter({
      config,
      database,
      events,
      identity,
      dead: options.lineage?.dead ?? [],
      tuning,
      history: tuning.history ?? true,
      isIdle: () => this.dispatch.isIdle,
      knowsClass: (name) => registry.get(name) !== undefined,
      snapshot: () => this.snapshot(),
      onRescued,
    });
  }

  /** Resolves at once, even if Redis and Postgres do not answer: the work begins when they do. */
  async start(): Promise<void> {
    if (this.started || this.stopping) return;
    this.started = true;
    if (this.isQuiet) this.fetcher.quiet();
    await this.hintReader?.start();
    this.cancelWatch.task.start();
    this.dispatch.start();
    this.plainProducers?.start();
    if (!this.isQuiet) this.cron.start();
    this.endPings = this.pings.listen();
    this.reporter.start();
    this.fetcher.start();
    this.lifecycle.start();
    this.lifecycle.changed(this.isQuiet);
  }

  /** Stops fetching; running jobs go on. */
  quiet(): void {
    this.isQuiet = true;
    this.fetcher.quiet();
    void this.cron.task.stop();
    if (this.started) this.lifecycle.changed(true);
  }

  /** Undoes `quiet`, but not a stop. */
  resume(): void {
    if (this.stopping) return;
    this.isQuiet = false;
    this.fetcher.resume();
    if (!this.started) return;
    this.cron.start();
    this.lifecycle.changed(false);
  }

  /** Returns the jobs of a processor that is known to be dead to their queues. */
  rescueOrphans(identity: string): void {
    this.reporter.rescueOrphans(identity);
  }

  /**
   * Called in the handler of an uncaught error. Fails the job whose code raised it, which the execution context names. If it
   * names none, any job may be the cause. Then the process has to end, and the jobs that it returns keep their delivery
   * counted, as if it had died.
   */
  failRunBehind(error: Error): UncaughtOutcome {
    const outcome = this.executor.failRunBehind(error);
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
    return this.dispatch.listening;
  }

  /** Progress of fetching, the dispatcher, LISTEN and recurring jobs. */
  get progress(): Readonly<Record<'fetch' | 'dispatch' | 'listen' | 'cron', ProgressReading | undefined>> {
    return {
      fetch: this.isQuiet ? undefined : this.fetcher.progress.read(),
      dispatch: this.dispatch.progress.read(),
      listen: this.dispatch.listenProgress.read(),
      cron: this.isQuiet ? undefined : this.cron.progress.read(),
    };
  }

  /** Queues with jobs that are due, as last read; none during a stop, since they then wait for another processor. */
  get waiting(): ProcessReporter['waiting'] {
    return this.stopping ? [] : this.reporter.waiting;
  }

  get threadCount(): number {
    return this.threads?.size ?? 0;
  }

  /** Jobs that this processor leaves to others, since its code cannot run them, by class. */
  get left() {
    return this.executor.failures.left;
  }

  snapshot(): { readonly running: readonly Run[]; readonly quiet: boolean } {
    return { running: [...this.executor.runs], quiet: this.isQuiet };
  }

  private async drain(given: Deadline): Promise<void> {
    if (!this.started) return;
    const { dispatch, executor, fetcher } = this;
    const { runningJobsMs, abortedJobsMs, outcomesMs, leastMs } = this.options.tuning?.stop ?? {};
    const deadline = given.part({ ...STOP_PHASES.processor, ...(leastMs !== undefined && { minMs: leastMs }) });
    const step = (name: 'runningJobs' | 'abortedJobs' | 'outcomes', maxMs: number | undefined) =>
      deadline.part({ ...STOP_PHASES[name], ...(maxMs !== undefined && { maxMs }) });
    this.quiet();
    const quieted = Promise.all([
      dispatch.stop(deadline),
      deadline.wait(this.cron.task.stop()),
      deadline.wait(Promise.resolve(this.plainProducers?.task.stop())),
    ]);
    const running = step('runningJobs', runningJobsMs);
    const hooks = running.wait(this.lifecycle.stop());
    if ((await running.wait(fetcher.runsEnded())) === 'late') {
      executor.abort(new Error('the process is stopping'), this.causeUnknown);
      await step('abortedJobs', abortedJobsMs).wait(fetcher.runsEnded());
      const returned = (delivery: Delivery, applied: boolean) =>
        this.announceReturn(delivery.id, delivery.queue, applied);
      fetcher.returnRunning(returned, this.causeUnknown);
    }
    await step('outcomes', outcomesMs).wait(fetcher.idle());
    await deadline.wait(Promise.resolve(this.threads?.close()));
    await deadline.wait(this.cancelWatch.task.stop());
    await quieted;
    if ((await hooks) === 'late') {
      const error = new Error('it did not end in time');
      this.options.events.emit('process.error', { error, during: "the app's onQuiet, onResume or onHeartbeat" });
    }
    this.endPings?.();
    await this.pings.sent(deadline.part(STOP_PHASES.outcomes));
    await this.reporter.stop(deadline.part(STOP_PHASES.deregistration));
    fetcher.close();
    await this.hintReader?.stop(deadline);
  }

  private tellCancelled(jobs: readonly CancelledRun[]): void {
    for (const { id, class: name, queue, reason } of jobs)
      this.options.events.emit('job.cancelled', { id, class: name, queue, reason, was: 'running' });
  }

  private announceReturn(id: string, queue: string, applied: boolean): void {
    const jobName = [...this.executor.runs].find((run) => run.id === id)?.class ?? 'unknown';
    this.options.events.emit(applied ? 'job.released' : 'job.fenced', { id, class: jobName, queue });
  }
}
