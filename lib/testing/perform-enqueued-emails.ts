import { DeliverMailJob } from '../mailer/deliver-mail-job';
import { performEnqueuedJobs } from './perform-enqueued-jobs';

/**
 * Delivers the mails that are enqueued, by `deliverLater`, and due; other jobs are left alone. `useTestMail` keeps them.
 *
 *     await signUp(user)
 *     await performEnqueuedEmails()
 *     await performEnqueuedEmails(() => signUp(user))            // only what this enqueues
 *
 * @param during runs first; what was enqueued before it is left alone.
 * @returns what `during` gave.
 * @throws the error of the first mail that is given up.
 */
export async function performEnqueuedEmails(): Promise<void>;
export async function performEnqueuedEmails<T>(during: () => PromiseLike<T> | T): Promise<T>;
export async function performEnqueuedEmails<T>(during?: () => PromiseLike<T> | T): Promise<T | undefined> {
  const options = { only: DeliverMailJob };
  if (during) return performEnqueuedJobs(during, options);
  await performEnqueuedJobs(options);
  return undefined;
}
