import { connectMode, type TestJobs } from './connected-mode';
import { Equipment, type EquipmentOptions } from './equipment';
import { FakeJobs } from './fake-jobs';
import { InlineJobs } from './inline-jobs';
import type { Commits } from './memory-jobs';

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
 * retried. (After a commit `transaction()` throws it; where knex's own transactions are used it ends as an unhandled
 * rejection, which fails the test run.)
 */
export async function useInlineJobs(options: MemoryOptions = {}): Promise<TestJobs> {
  return connectMode(new InlineJobs(await Equipment.load(options), options.commits));
}
