import type { Model, ModelClass } from 'objection';
import { NotConnectedError } from '../core/errors';
import { Redactor } from '../core/redact';
import type { JobClass } from '../job/definition/job-class';
import type { JobSetup } from '../job/definition/setup';
import type { Enqueuer } from '../job/enqueue/enqueue';
import { Job } from '../job/job';
import type { ArgumentCodec } from '../job/record/arguments';
import { ModelFolder, type ModelLookup } from '../model/model-lookup';
import type { AppDefinition } from '../role/app-definition';
import { loadJobSetup } from '../role/load-setup';
import type { JobLog } from './job-log';
import { type Commits, FakeJobs, InlineJobs } from './memory-jobs';
import type { TestDatabase, TestDatabaseOptions } from './test-database';

export interface MemoryOptions extends EquipmentOptions {
  /**
   * outermost: a job enqueued inside a transaction counts when the outermost one commits, and never after a rollback.
   * immediate: at once, whatever becomes of the transaction; for tests that run as a whole inside a `transaction()` that
   * never commits. (One that `TestDatabase.begin` opened needs no such thing.) Default outermost.
   */
  readonly commits?: Commits | undefined;
}

/**
 * Jobs are kept in memory until the test performs them: no Redis, no outbox. Every check of a real enqueue is made, and
 * arguments travel as JSON.
 *
 *     let jobs
 *     beforeEach(async () => { jobs = await useFakeJobs() })
 *     afterEach(() => jobs.restore())
 *
 *     it('welcomes', async () => {
 *       const user = await signUp({ email: 'ada@example.com' })
 *       assertEnqueued(WelcomeEmailJob, { args: [user.id] })
 *       await performEnqueuedJobs()
 *     })
 */
export async function useFakeJobs(options: MemoryOptions = {}): Promise<TestJobs> {
  return connectMode(new FakeJobs(await TestDependencies.load(options), options.commits));
}

/**
 * Jobs are performed at once, inside `performLater`, or when the outermost transaction commits. `wait` and `waitUntil`
 * count for nothing. An error of the job is thrown to whoever enqueued it, unless its class discards it; nothing is
 * retried. A unique job is a duplicate only of one that is running. (After a commit `transaction()` throws it; where knex's own transactions are used it ends as an unhandled
 * rejection, which fails the test run.)
 */
export async function useInlineJobs(options: MemoryOptions = {}): Promise<TestJobs> {
  return connectMode(new InlineJobs(await TestDependencies.load(options), options.commits));
}

export interface RealOptions extends EquipmentOptions {
  /** Where the outbox is; with all migrations run. */
  readonly database: TestDatabase;
  /** Of a Redis that tests may use: `redis://localhost:6379/15`. */
  readonly redisUrl: string;
  /** Jobs that run at once. Default 1, so that they run in the order of their queue. */
  readonly concurrency?: number | undefined;
  /** How long one `performEnqueuedJobs` may take, ms. Default 10,000. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Jobs go where they go in production, to Redis and Postgres, and `performEnqueuedJobs` has a job processor in the test's own
 * process perform them. What the test leaves of its jobs is removed by `restore()`.
 *
 *     const database = await useTestDatabase({ url: 'postgres://localhost/shop_test', app })
 *     const jobs = await useRealJobs({ database, redisUrl: 'redis://localhost:6379/15', app })
 *
 * Not with `database.begin()`: no processor sees what is never committed. Test processes that run side by side each need a
 * Redis and a database of their own, or they take each other's jobs.
 * @throws Error when Redis does not answer.
 */
export async function useRealJobs(options: RealOptions): Promise<TestJobs> {
  const { database, redisUrl, concurrency = 1, timeoutMs = 10_000 } = options;
  // The job processor with all that it needs is for those who use it.
  const { RealConnections } = await import('./real-jobs');
  const { RealJobs } = await import('./real-jobs');
  const equipment = await TestDependencies.load(options);
  const connections = await RealConnections.open(database, redisUrl);
  return connectMode(new RealJobs(equipment, connections, { concurrency, timeoutMs }));
}

/** What `useFakeJobs` and its like give back. */
export interface TestJobs {
  /** Forgets all jobs, enqueued and performed. */
  clear(): Promise<void>;
  /** Gives jobs their way back that they had before, and closes what was opened. Idempotent. */
  restore(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The last one is in use. */
const connected: JobMode[] = [];

function connectMode(mode: JobMode): TestJobs {
  connected.push(mode);
  connectLast();
  const restore = async () => {
    const index = connected.indexOf(mode);
    if (index < 0) return;
    connected.splice(index, 1);
    connectLast();
    await mode.close();
  };
  return { clear: () => mode.clear(), restore, [Symbol.asyncDispose]: restore };
}

/** @throws NotConnectedError where the test has connected none. */
export function connectedMode(asker: string): JobMode {
  const mode = connected.at(-1);
  if (mode) return mode;
  throw new NotConnectedError(`${asker} knows of no jobs: call useFakeJobs(), useInlineJobs() or useRealJobs() first`);
}

function connectLast(): void {
  const mode = connected.at(-1);
  Job.connect(mode, mode?.equipment ?? {});
}

/** Which jobs are meant. */
export interface JobFilter {
  readonly only?: JobClass | readonly JobClass[] | undefined;
  readonly except?: JobClass | readonly JobClass[] | undefined;
  readonly queue?: string | undefined;
}

export interface PerformOptions extends JobFilter {
  /** Performs what is due by this moment. Default: now, as `travelTo` has set it. */
  readonly at?: Date | undefined;
  /**
   * What becomes of a run that failed and is to be retried. now: it runs again without a wait, behind all others, up to
   * its limits. due: it stays enqueued until its time. never: its error is thrown at once. Default now.
   */
  readonly retries?: 'now' | 'due' | 'never' | undefined;
}

/** Where enqueued jobs go while a test has connected it. */
export interface JobMode extends Enqueuer {
  readonly name: 'fake' | 'inline' | 'real';
  readonly ledger: JobLog;
  readonly equipment: TestDependencies;
  /**
   * Performs what is enqueued, and what that enqueues.
   * @param since a mark of the ledger: leaves alone what was there before it.
   * @throws the error of the first job that dies.
   */
  perform(options: PerformOptions, since: number): Promise<void>;
  /** Forgets all jobs. */
  clear(): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

interface EquipmentOptions {
  /** The app's manifest, as `boot` takes it: its job setup and its models count. Default: none. */
  readonly app?: AppDefinition | undefined;
  /** Instead of the app's own. */
  readonly setup?: JobSetup | undefined;
  /** Models that jobs are given. Default: those of the app's folder. */
  readonly models?: readonly ModelClass<Model>[] | undefined;
}

/** What the app adds to its jobs: middleware, serializers, models, filters. */
export class TestDependencies {
  readonly codec: ArgumentCodec;
  readonly filter: Redactor;

  private constructor(
    readonly setup: JobSetup,
    readonly models: ModelLookup | undefined,
  ) {
    this.codec = { serializers: setup.serializers, models };
    this.filter = new Redactor(setup.filterArguments);
  }

  /** @throws UserError for a job setup that is not what it should be. */
  static async load({ app, setup, models }: EquipmentOptions): Promise<TestDependencies> {
    const found = setup ?? (app ? await loadJobSetup(app) : {});
    return new TestDependencies(found, models ? lookupOf(models) : app && new ModelFolder(app.modelsDir));
  }
}

function lookupOf(models: readonly ModelClass<Model>[]): ModelLookup {
  return { get: (name) => models.find((model) => model.name === name), place: 'the models of this test' };
}

/**
 * Connects models and `transaction()` to a test database.
 *
 *     let database
 *     before(async () => { database = await useTestDatabase({ url: 'postgres://localhost/shop_test', app }) })
 *     beforeEach(() => database.begin())
 *     afterEach(() => database.rollBack())
 *     after(() => database.close())
 */
export async function useTestDatabase(options: TestDatabaseOptions): Promise<TestDatabase> {
  // knex and objection are for those who use them.
  const { openTestDatabase } = await import('./test-database');
  return openTestDatabase(options);
}
