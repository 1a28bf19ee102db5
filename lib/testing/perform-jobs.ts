import type { PerformOptions } from './job-filter';
import { connectedMode } from './use-jobs';

/**
 * Performs the enqueued jobs that are due, and those that they enqueue, one after another until none is left. They run
 * as in a job processor: with arguments from JSON, callbacks, middleware and retry rules.
 *
 *     await signUp({ email })
 *     await performEnqueuedJobs()
 *     await performEnqueuedJobs({ only: WelcomeEmailJob })
 *     await performEnqueuedJobs(() => signUp({ email }))            // only what this enqueues
 *     await travelTo(tomorrow, () => performEnqueuedJobs())         // delayed jobs are due then
 *
 * A failed job that would be retried runs again without waiting, after the others, as often as its class allows;
 * `retries` changes that.
 *
 * @throws the error of the first job that dies, which production would move to the dead set. Other jobs stay enqueued.
 */
export async function performEnqueuedJobs(options?: PerformOptions): Promise<void>;
/**
 * Performs only what one piece of code enqueues.
 * @param during runs first; only jobs that it enqueues are performed.
 * @returns the result of `during`.
 * @throws the error of the first job that dies, which production would move to the dead set. Other jobs stay enqueued.
 */
export async function performEnqueuedJobs<T>(during: () => PromiseLike<T> | T, options?: PerformOptions): Promise<T>;
export async function performEnqueuedJobs<T>(
  given?: PerformOptions | (() => PromiseLike<T> | T),
  options: PerformOptions = {},
): Promise<T | undefined> {
  const mode = connectedMode('performEnqueuedJobs');
  if (typeof given !== 'function') {
    await mode.perform(given ?? {}, 0);
    return undefined;
  }
  const since = mode.jobLog.mark;
  const result = await given();
  await mode.perform(options, since);
  return result;
}
