import { NotConnectedError } from '../core/errors';
import type { OutgoingMessage } from '../mailer/definition/mail-types';
import type { TestMailOptions, TestMails } from './test-mail';
import { requireApp } from './wrong-arguments';

let connected: TestMails | undefined;

/**
 * Connects the mailers. Mails are built, checked and rendered as in production, and collected for `deliveries()`. As in
 * production, a job that runs again does not send its mail again.
 *
 *     let mail
 *     before(async () => { mail = await useTestMail({ app }) })
 *     beforeEach(() => mail.clear())
 *     after(() => mail.restore())
 *
 *     const [welcome] = await captureEmails(() => performEnqueuedJobs(() => signUp({ email })))
 *     assert.match(welcome.subject, /Welcome/)
 *
 * @throws TypeError if it is not given the app; UserError if the app's mailers or texts cannot be loaded.
 */
export async function useTestMail(options: TestMailOptions): Promise<TestMails> {
  requireApp('useTestMail', options?.app);
  // The template engine is loaded only by tests that use it.
  const { TestMails } = await import('./test-mail');
  await connected?.restore();
  connected = await TestMails.open(options);
  return connected;
}

/** @returns all mails since `useTestMail()` or the last `clear()`, oldest first. */
export function deliveries(): readonly OutgoingMessage[] {
  return [...currentMail('deliveries').messages];
}

/** @returns the mails that `during` sends, oldest first. */
export async function captureEmails(during: () => unknown): Promise<readonly OutgoingMessage[]> {
  const mail = currentMail('captureEmails');
  const before = mail.messages.length;
  await during();
  return mail.messages.slice(before);
}

/** @throws NotConnectedError outside of `useTestMail`. */
export function currentMail(caller: string): TestMails {
  if (connected?.isConnected) return connected;
  throw new NotConnectedError(`${caller} needs test mail: call useTestMail() first`);
}
