import { connectedMode } from './connected-mode';
import type { PerformOptions } from './mode';

/**
 * Performs what is enqueued and due, and what that enqueues, one after another, until nothing is left. It is performed
 * as in a job processor: arguments from their JSON, callbacks, middleware, retry rules.
 *
 *     await signUp({ email })
 *     await performEnqueuedJobs()
 *     await performEnqueuedJobs({ only: WelcomeEmailJob })
 *     await performEnqueuedJobs(() => signUp({ email }))            // only what this enqueues
 *     await travelTo(tomorrow, () => performEnqueuedJobs())         // delayed jobs are due then
 *
 * A run that fails and is to be retried runs again without a wait, behind the others, as often as its class allows;
 * `retries` says otherwise. With real jobs, a processor starts, works until nothing that is due is left, and stops;
 * waits and retries take their time.
 *
 * @param during runs first; what was enqueued before it is left alone.
 * @returns what `during` gave.
 * @throws the error of the first job that dies: the dead set would have it. What is left stays enqueued.
 */
export async function performEnqueuedJobs(options?: PerformOptions): Promise<void>;
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
  const since = mode.ledger.mark;
  const result = await given();
  await mode.perform(options, since);
  return result;
}
