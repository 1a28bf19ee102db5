import os from 'node:os';
import { Model } from 'objection';
import type { Carrier } from '../../broadcast/broadcast';
import { type FromProcessor, HEARTBEAT_INTERVAL_MS, type Incoming, type ToProcessor } from '../../cluster/messages';
import { ignoreOperatorSignals } from '../../cluster/operator-signals';
import { FORKED, type ParentChannel, tell } from '../../cluster/parent-channel';
import type { PartProgress, ProcessorStatus, Tree, Work } from '../../cluster/status';
import { TreeCarrier } from '../../cluster/tree-carrier';
import { type Config, inheritedConfig, serverUrls } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { FailureCause, StalledPart } from '../../core/failure-cause';
import { causeOf } from '../../core/failure-cause';
import { loadI18n } from '../../core/i18n';
import { missingTextWords } from '../../core/locales';
import { CHILD_LOG_FD, onUncaught, openLog } from '../../core/logging';
import { onNotable } from '../../core/notable-events';
import { ProcessMetricsSampler } from '../../core/process-metrics';
import { NoConnectionError, Redis } from '../../core/redis';
import { owedSinceStart, StandstillReporter } from '../../health/standstills';
import { collectGarbage, OutOfBandGc } from '../../internals/gc';
import { JobTimeoutError } from '../../job/definition/errors';
import { loadJobs } from '../../job/job-registry';
import { traceRun } from '../../job/perform/run-span';
import { JobProcessor, type Lineage } from '../../job/processor';
import { WorkCounter } from '../../job/stats/collector';
import { DeliverMailJob } from '../../mailer/deliver-mail-job';
import { MailDelivery } from '../../mailer/delivery/delivery';
import { DeliveryRecord } from '../../mailer/delivery/delivery-record';
import { Mailer } from '../../mailer/mailer';
import { loadMailers } from '../../mailer/mailer-registry';
import type { Database } from '../../model/database';
import { loadModels } from '../../model/model-lookup';
import { connectTransactions } from '../../model/transaction';
import { Deadline } from '../../support/deadline';
import { lazy } from '../../support/lazy';
import { PeriodicTask } from '../../support/periodic-task';
import { ServiceGroup } from '../../support/service';
import { toError } from '../../support/to-error';
import type { AppDefinition } from '../app/app-definition';
import { appService } from '../app/app-service';
import { loadJobSetup, loadMailSetup } from '../app/load-parts';
import { openDatabase } from '../app/open-database';
import { threadManifest } from '../app/thread-manifest';
import { connectJobs, connectToSubscribers } from '../connect/connect-app';
import { threadSource } from './job-thread-source';
import { keepLog } from './keep-log';
import { AppointedReporter } from './reporter';
import { traceSpans } from './trace-spans';
import type { Shared } from './web';

/** Where the CPU is short, requests, for which somebody waits, come before jobs: these get a seventh of it beside two workers. */
const NICENESS = 5;
/** Maximum length of an error's message in a status. */
const MAX_ERROR = 200;
/** After a longer time without a report the process itself stood still, ms: it has not read the answers that came. */
const BLOCKED_MS = 5000;

/** What a job processor in the primary's process is given. */
interface Within {
  readonly parent: ParentChannel;
  /** The web of the same process, if there is one. */
  readonly shared: Shared | undefined;
  /** Called at once: errors that nothing catches are to be shown to this first. */
  readonly onContain: (contain: (error: Error) => boolean) => void;
}

/**
 * Runs the job processor, a child of the primary, until it is told to stop or loses the primary.
 * @param within set in the primary's process.
 */
export async function runProcessor(app: AppDefinition, lineage: Lineage, within?: Within): Promise<void> {
  const config = inheritedConfig();
  const parent = within?.parent ?? FORKED;
  const tellPrimary = (message: FromProcessor) => tell(parent, message);
  parent.title = 'catamount: jobs';
  if (!within) {
    ignoreOperatorSignals({ givesStacks: true });
    os.setPriority(NICENESS);
  }
  const events = openLog(config, 'jobs', within ? 1 : CHILD_LOG_FD, within !== undefined);
  onNotable(events, ['processor', 'tree'], (event) => tellPrimary({ catamount: 'event', event }));
  // Only the tree's reporter sends requests to the primary, and it may be another process.
  const tree = lazy(async () => {
    const { PrimaryClient } = await import('../../cluster/primary-client');
    return new PrimaryClient(tellPrimary);
  });
  const siblings = new TreeCarrier(events, parent);
  const jobs = new JobProcessorRole(app, config, events, lineage, tree, siblings, within?.shared);
  const report = () => {
    const [status, work] = [jobs.status(), jobs.work()];
    const running = `${status.inFlight.length}/${config.jobs.concurrency}`;
    parent.title = `catamount: jobs ${running}${status.quiet ? ' [quiet]' : ''}`;
    tellPrimary({ catamount: 'heartbeat', status, work });
    return { status, work };
  };
  let stopping: Promise<void> | undefined;
  // Signals and messages may repeat: only the first sets the deadline. The last report counts the jobs that have ended
  // since the last heartbeat.
  const stop = async (ms: number): Promise<void> => {
    stopping ??= jobs.stop(Deadline.after(ms)).finally(report);
    await stopping;
  };
  const stopAndExit = (ms: number): void => {
    stop(ms).then(
      () => parent.exit(EXIT.ok),
      (error: unknown) => {
        events.emit('process.error', { error: toError(error), during: 'stopping the job processor' });
        parent.exit(EXIT.failed);
      },
    );
  };
  parent.on('message', (given) => {
    const message = given as Incoming<ToProcessor>;
    if (!message?.catamount) return;
    if (message.catamount === 'stop') stopAndExit(message.remainingMs);
    else if (message.catamount === 'quiet') jobs.quiet();
    else if (message.catamount === 'resume') jobs.resume();
    else if (message.catamount === 'rescue') jobs.rescueOrphans(message.identity);
    else if (message.catamount === 'reporter') jobs.setReporter(message.on);
    else if (message.catamount === 'reply') void tree().then((client) => client.settle(message));
  });
  parent.on('disconnect', () => stopAndExit(config.shutdownTimeoutMs));
  const contain = (error: Error) => jobs.contain(error);
  if (within) within.onContain(contain);
  else {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.on(signal, () => stopAndExit(config.shutdownTimeoutMs));
    // If no single job caused the error, all running jobs return to their queue's head: none can be trusted to finish.
    onUncaught(events, () => stop(0), { contain });
  }
  try {
    await jobs.start();
    tellPrimary({ catamount: 'ready' });
    const collector = new OutOfBandGc();
    let ended = 0;
    const beat = async (): Promise<undefined> => {
      const { status, work } = report();
      ended += work.processed + work.failed;
      // That of the web knows when all of the process is at rest.
      if (!within?.shared) collector.tick(status.inFlight.length, ended);
    };
    const onError = (error: Error) => events.emit('process.error', { error, during: 'reporting the status' });
    new PeriodicTask({ everyMs: HEARTBEAT_INTERVAL_MS, work: beat, onError }).start();
  } catch (thrown) {
    const error = toError(thrown);
    events.emit('process.error', { error, during: 'starting the job processor' });
    const exitCode = error instanceof UserError ? error.exitCode : EXIT.failed;
    const exit = () => parent.exit(exitCode);
    const failure = {
      catamount: 'boot-failed',
      message: error.message,
      exitCode,
      final: exitCode === EXIT.config,
    } as const;
    tell(parent, failure satisfies FromProcessor, exit);
  }
}

/** Everything that runs jobs in one process: connections, the app's jobs and mailers, the job processor. */
export class JobProcessorRole {
  private readonly processMetrics = new ProcessMetricsSampler();
  private readonly workCount = new WorkCounter();
  private services: ServiceGroup | undefined;
  private jobs: JobProcessor | undefined;
  private reporter: AppointedReporter | undefined;
  private database: Database | undefined;
  private redis: Redis | undefined;
  private mail: MailDelivery | undefined;
  private readonly standstills: StandstillReporter;
  private isQuiet: boolean;
  /** Time at which it had begun to work, ms on the monotonic clock. */
  private worksSince = 0;
  /** Time of the last status, ms on the monotonic clock. */
  private readAt = 0;

  constructor(
    private readonly app: AppDefinition,
    private readonly config: Config,
    private readonly events: Events,
    private lineage: Lineage,
    private readonly tree: () => Promise<Tree>,
    /** The way of broadcasts to the tree's other processes. */
    private readonly siblings: Carrier,
    /** Set when the web of this process has connected already. */
    private readonly shared?: Shared,
  ) {
    this.standstills = new StandstillReporter(events);
    this.isQuiet = lineage.quiet ?? false;
    this.workCount.listen(events);
  }

  /** Runs finished since the last call. */
  work(): Work {
    return this.workCount.take();
  }

  /** @throws UserError when the app's jobs, mailers, job setup or mail setup are invalid. */
  async start(): Promise<void> {
    const { app, config, events } = this;
    const urls = serverUrls(config);
    const { shared } = this;
    const database = shared?.database ?? openDatabase(config, urls.database, events, config.databasePool.jobs);
    this.database = database;
    const redis = shared?.redis ?? new Redis(urls.redis, events);
    this.redis = redis;
    // A Redis that does not answer costs no time of its own.
    const checked = urls.redis === null ? Promise.resolve() : this.checkRedis(redis, urls.redis);
    checked.catch(() => undefined);
    const i18n = await loadI18n([app.localesDir], config.defaultLocale, {
      strict: true,
      onMissing: (missing) => events.emit('process.warning', { message: missingTextWords(missing) }),
    });
    const mail = new MailDelivery({
      config,
      record: new DeliveryRecord(database.knex, {
        // Imported on demand: only the check of old records needs it, and it loads all job sets.
        livingJobs: async (ids) => {
          const { livingJobs } = await import('../../job/sets/find-job');
          return livingJobs(database.knex, ids);
        },
      }),
      i18n,
      templatesDir: app.templatesDirs,
      events,
      setup: await loadMailSetup(app),
    });
    this.mail = mail;
    const mailers = await loadMailers(app.mailersDir, app);
    const registry = await loadJobs(app.jobsDir, app);
    if (mailers.size > 0) registry.add(DeliverMailJob);
    const setup = await loadJobSetup(app);
    events.emit('setup.loaded', { filterArguments: setup.filterArguments ?? [] });
    const models = await loadModels(app.modelsDir, app);
    const manifest = threadManifest(registry, app, config.jobs);
    const jobs = new JobProcessor({
      config,
      ...(urls.redis !== null && { redis, redisUrl: urls.redis }),
      databaseDirectUrl: urls.databaseDirect,
      database,
      events,
      registry,
      setup,
      models,
      lineage: { ...this.lineage, quiet: this.isQuiet },
      thread: manifest === undefined ? undefined : threadSource(manifest, config, urls.database),
      traceRun: config.tracing ? traceRun : undefined,
    });
    this.jobs = jobs;
    if (this.isQuiet) jobs.quiet();
    if (!shared) {
      Model.knex(database.knex);
      connectTransactions(database.knex, (model) => events.emit('query.left-transaction', { model }));
      connectJobs({ database, redis, events, setup, models, jobs: config.jobs });
      connectToSubscribers({ app: app.name, redis, events, tree: config.treeId, siblings: this.siblings });
    }
    Mailer.connect(mail, mailers);
    const reports = setup.reportError && (await import('../../job/perform/error-reporter'));
    const own = appService(app, { role: 'jobs', slot: undefined, config });
    const services = new ServiceGroup('the job processor', [
      ...(reports && setup.reportError ? [new reports.ErrorReporter(events, setup.reportError)] : []),
      ...(shared ? [] : [...traceSpans(app, config, events), database, redis]),
      ...keepLog(app, config, events, database),
      mail,
      ...(own ? [own] : []),
      jobs,
    ]);
    this.services = services;
    this.reporter = new AppointedReporter({ app, config, redis, database, tree: this.tree, events, services });
    await checked;
    // Loading leaves a quarter of the process's memory as garbage.
    collectGarbage();
    await services.start();
    this.worksSince = performance.now();
  }

  private async checkRedis(redis: Redis, url: string): Promise<void> {
    // Imported on demand, since only the start needs it.
    const { checkRedis } = await import('./redis-check');
    const { app, config, events } = this;
    await checkRedis({ redis, url, events, appName: app.name, config, mayRefuse: this.lineage.dead.length === 0 });
  }

  setReporter(on: boolean): void {
    void this.reporter?.appoint(on);
  }

  /** Stops fetching; running jobs continue. */
  quiet(): void {
    this.isQuiet = true;
    this.jobs?.quiet();
  }

  /** Undoes `quiet`. */
  resume(): void {
    this.isQuiet = false;
    this.jobs?.resume();
  }

  /** Rescues the jobs of a processor that ended without returning them. */
  rescueOrphans(identity: string): void {
    this.lineage = { ...this.lineage, dead: [...this.lineage.dead, identity] };
    this.jobs?.rescueOrphans(identity);
  }

  /**
   * Fails the job that caused the error.
   * @returns false when no job is known to be the cause: the process has to end.
   */
  contain(error: Error): boolean {
    const outcome = this.jobs?.failRunBehind(error) ?? 'unknown';
    if (outcome === 'ended') this.events.emit('process.error', { error, during: 'the rest of a job that has ended' });
    return outcome !== 'unknown';
  }

  status(): ProcessorStatus {
    const { running, quiet } = this.jobs?.snapshot() ?? { running: [], quiet: this.isQuiet };
    const inFlight = running.map((job) => ({
      what: `${job.class} on ${job.queue}`,
      job: { class: job.class, queue: job.queue },
      id: job.id,
      ageMs: Date.now() - job.startedAt,
      ...(job.abortReason instanceof JobTimeoutError && { timeoutMs: job.abortReason.timeoutMs }),
    }));
    const pool = this.database?.poolUse() ?? { used: 0, idle: 0, waiting: 0, max: 0 };
    const redisAwayMs = this.redis?.awayMs ?? null;
    const [progress, waiting, left] = [this.progress(), this.jobs?.waiting ?? [], this.jobs?.left ?? []];
    return {
      inFlight,
      quiet,
      listening: this.jobs?.listening ?? null,
      progress,
      waiting,
      ...(left.length > 0 && { left }),
      ...(redisAwayMs !== null && { redisAwayMs }),
      stalled: this.standstills.report({ quiet, progress, waiting }),
      pool,
      ...this.processMetrics.read(),
    };
  }

  private progress(): PartProgress[] {
    // The age of the process.
    const now = performance.now();
    // What came meanwhile is read after this.
    const wasBlocked = now - this.readAt > BLOCKED_MS;
    this.readAt = now;
    const measured = { ...this.jobs?.progress, mail: this.mail?.progress.read() };
    return Object.entries(measured).flatMap(([part, progress]) => {
      if (!progress) return [];
      const { movedMs, error } = progress;
      // The mails of an app need not begin with its process.
      const owing = part === 'mail' ? progress.owedMs : owedSinceStart(progress, now, now - this.worksSince);
      const owedMs = wasBlocked && !error ? 0 : owing;
      const cause = judgeFailure(error);
      return [{ part: part as StalledPart, movedMs, owedMs, cause, error: error?.message.slice(0, MAX_ERROR) ?? '' }];
    });
  }

  /** Stops fetching, lets jobs finish until the deadline, returns the others to their queue, closes all connections. */
  async stop(deadline: Deadline): Promise<void> {
    await this.services?.stop(deadline);
  }
}

function judgeFailure(error: Error | undefined): FailureCause {
  if (!error) return 'noAnswer';
  // Every start begins in this state.
  if (error instanceof NoConnectionError && error.cause === undefined) return 'unreachable';
  return causeOf(error);
}
