import { Model } from 'objection';
import type { Work } from '../cluster/figures';
import type { ProcessorOrder } from '../cluster/messages';
import type { Operations, ProcessorStatus } from '../cluster/stats';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import { loadI18n } from '../core/i18n';
import { Redis } from '../core/redis';
import { VitalsMeter } from '../core/vitals';
import { connectJobs } from '../job/connect';
import { WorkCount } from '../job/history/work-count';
import { JobProcessor, type Lineage } from '../job/processor';
import { loadJobs } from '../job/registry';
import { ErrorReporter } from '../job/report/error-reporter';
import { livingJobs } from '../job/set/living-jobs';
import { DeliverMailJob } from '../mailer/deliver-mail-job';
import { MailDelivery } from '../mailer/delivery';
import { DeliveryRecord } from '../mailer/delivery-record';
import { Mailer } from '../mailer/mailer';
import { loadMailers } from '../mailer/mailer-folder';
import { Database } from '../model/database';
import { pendingMigrations } from '../model/migrator';
import { ModelFolder } from '../model/model-folder';
import { connectTransactions } from '../model/transaction';
import type { Deadline } from '../support/deadline';
import { ServiceGroup } from '../support/service';
import { Scribe } from '../tree/scribe';
import type { AppDefinition } from './app-definition';
import { loadJobSetup } from './load-job-setup';
import { loadMailSetup } from './load-mail-setup';
import { migrationFolders } from './migrations';
import { poolSizeFor } from './pool-size';
import { serverUrls } from './server-urls';

/** Everything that runs jobs in one process: connections, the app's jobs and mailers, the job processor. */
export class ProcessorProcess {
  private readonly vitals = new VitalsMeter();
  private readonly workCount = new WorkCount();
  private services: ServiceGroup | undefined;
  private jobs: JobProcessor | undefined;
  private scribe: Scribe | undefined;
  private database: Database | undefined;
  private isQuiet: boolean;

  constructor(
    private readonly app: AppDefinition,
    private readonly config: Config,
    private readonly events: Events,
    private lineage: Lineage,
    private readonly tree: Operations,
    private readonly onOrder: (order: ProcessorOrder) => void,
  ) {
    this.isQuiet = lineage.quiet ?? false;
    this.workCount.listen(events);
  }

  /** What has been done since it was last asked. */
  work(): Work {
    return this.workCount.take();
  }

  /** @throws UserError when the app's jobs, mailers, job setup or mail setup are not what they should be. */
  async start(): Promise<void> {
    const { app, config, events } = this;
    const urls = serverUrls(config);
    const production = config.environment === 'production';
    const poolMax = poolSizeFor(config.jobs.concurrency);
    const database = new Database(urls.database, { production, events, poolMax });
    this.database = database;
    const redis = new Redis(urls.redis, events);
    const queues = config.jobs.queues.map(({ name }) => name);
    const i18n = await loadI18n([app.localesDir], config.defaultLocale, { strict: true });
    const mail = new MailDelivery({
      config,
      record: new DeliveryRecord(database.knex, {
        livingJobs: (ids) => livingJobs({ redis: redis.client, knex: database.knex, queues }, ids),
      }),
      i18n,
      templatesDir: app.templatesDir,
      events,
      setup: await loadMailSetup(app),
    });
    const mailers = loadMailers(app.mailersDir);
    const registry = loadJobs(app.jobsDir);
    if (mailers.size > 0) registry.add(DeliverMailJob);
    const setup = await loadJobSetup(app);
    events.emit('setup.loaded', { filterArguments: setup.filterArguments ?? [] });
    const models = new ModelFolder(app.modelsDir);
    const reporter = new ErrorReporter(events, setup.reportError);
    const jobs = new JobProcessor({
      config,
      redisUrl: urls.redis,
      database,
      redis,
      events,
      registry,
      setup,
      models,
      lineage: this.lineage,
      app: app.name,
      onOrder: this.onOrder,
    });
    this.jobs = jobs;
    this.scribe = new Scribe({ redis, database, tree: this.tree, events });
    if (this.isQuiet) jobs.quiet();
    Model.knex(database.knex);
    connectTransactions(database.knex, (model) => events.emit('query.left-transaction', { model }));
    connectJobs({ database, redis, events, setup, models });
    Mailer.connect(mail, mailers);
    this.services = new ServiceGroup('the job processor', [reporter, database, redis, mail, jobs]);
    await this.services.start();
    if (production) void this.warnOfPendingMigrations(database);
  }

  appointScribe(on: boolean): void {
    this.scribe?.appoint(on);
  }

  /** Fetches no more; what runs goes on. */
  quiet(): void {
    this.isQuiet = true;
    this.jobs?.quiet();
  }

  /** Takes `quiet` back. */
  resume(): void {
    this.isQuiet = false;
    this.jobs?.resume();
  }

  /** That processor has ended without giving its jobs back. */
  takeOver(identity: string): void {
    this.lineage = { ...this.lineage, dead: [...this.lineage.dead, identity] };
    this.jobs?.takeOver(identity);
  }

  /** @returns false: the process has to end. */
  contain(error: Error): boolean {
    const outcome = this.jobs?.failRunOf(error) ?? 'unknown';
    if (outcome === 'ended') this.events.emit('process.error', { error, during: 'the rest of a job that has ended' });
    return outcome !== 'unknown';
  }

  status(): ProcessorStatus {
    const { running, quiet } = this.jobs?.snapshot() ?? { running: [], quiet: this.isQuiet };
    const inFlight = running.map((job) => ({
      what: `${job.class} on ${job.queue}`,
      id: job.id,
      ageMs: Date.now() - job.startedAt,
    }));
    process.title = `catamount: jobs ${running.length}/${this.config.jobs.concurrency}${quiet ? ' [quiet]' : ''}`;
    const pool = this.database?.poolUse() ?? { used: 0, idle: 0, waiting: 0, max: 0 };
    return { in_flight: inFlight, quiet, pool, ...this.vitals.read() };
  }

  /** Fetches no more, lets jobs finish until the deadline, hands the rest back, closes every connection. */
  async stop(deadline: Deadline): Promise<void> {
    await this.scribe?.stop(deadline);
    await this.services?.stop(deadline);
  }

  /** A start in production migrates nothing: the release phase does. */
  private async warnOfPendingMigrations(database: Database): Promise<void> {
    const names = await pendingMigrations(database.knex, migrationFolders(this.app)).catch(() => []);
    if (names.length === 0) return;
    const message = `${names.length} migrations have not run: ${names.join(', ')}. Run: node dist/server.js migrate`;
    this.events.emit('process.warning', { message });
  }
}
