import { MailDeliveryJob } from '../mailer/deliver-mail-job';
import { performEnqueuedJobs } from './perform-jobs';

/**
 * Delivers the due mails that `deliverLater` has enqueued. Other jobs stay enqueued. `useTestMail` collects the mails.
 *
 *     await signUp(user)
 *     await performEnqueuedEmails()
 *     await performEnqueuedEmails(() => signUp(user))            // only what this enqueues
 *
 * @throws the error of the first mail whose job dies.
 */
export async function performEnqueuedEmails(): Promise<void>;
/**
 * Delivers only the mails that one piece of code enqueues.
 * @param during runs first; only mails that it enqueues are delivered.
 * @returns the result of `during`.
 * @throws the error of the first mail whose job dies.
 */
export async function performEnqueuedEmails<T>(during: () => PromiseLike<T> | T): Promise<T>;
export async function performEnqueuedEmails<T>(during?: () => PromiseLike<T> | T): Promise<T | undefined> {
  const options = { only: MailDeliveryJob };
  if (during) return performEnqueuedJobs(during, options);
  await performEnqueuedJobs(options);
  return undefined;
}
