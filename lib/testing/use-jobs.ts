import { connectMode, type TestJobs } from './connected-mode';
import { Equipment, type EquipmentOptions } from './equipment';
import { FakeJobs } from './fake-jobs';
import { InlineJobs } from './inline-jobs';
import type { Commits } from './memory-jobs';
import type { TestDatabase } from './test-database';

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
  return connectMode(new FakeJobs(await Equipment.load(options), options.commits));
}

/**
 * Jobs are performed at once, inside `performLater`, or when the outermost transaction commits. `wait` and `waitUntil`
 * count for nothing. An error of the job is thrown to whoever enqueued it, unless its class discards it; nothing is
 * retried. A unique job is a duplicate only of one that is running. (After a commit `transaction()` throws it; where knex's own transactions are used it ends as an unhandled
 * rejection, which fails the test run.)
 */
export async function useInlineJobs(options: MemoryOptions = {}): Promise<TestJobs> {
  return connectMode(new InlineJobs(await Equipment.load(options), options.commits));
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
  const { RealConnections } = await import('./real-connections');
  const { RealJobs } = await import('./real-jobs');
  const equipment = await Equipment.load(options);
  const connections = await RealConnections.open(database, redisUrl);
  return connectMode(new RealJobs(equipment, connections, { concurrency, timeoutMs }));
}
