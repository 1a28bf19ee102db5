import { AssertionError } from 'node:assert';
import { NotConnectedError } from '../core/errors';
import type { OutgoingMessage } from '../mailer/transport/transport';
import type { TestMail, TestMailOptions } from './test-mail';

/** What `useTestMail` gives back. */
export interface TestMails {
  /** Forgets all mails. */
  clear(): void;
  /** Mailers deliver nowhere again. Idempotent. */
  restore(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

let connected: TestMail | undefined;

/**
 * Mails are built, checked and rendered as in production, and kept for `deliveries()`. A job that runs again does not send
 * again, as in production.
 *
 *     let mail
 *     before(async () => { mail = await useTestMail({ app }) })
 *     beforeEach(() => mail.clear())
 *     after(() => mail.restore())
 *
 *     const [welcome] = await captureEmails(() => performEnqueuedJobs(() => signUp({ email })))
 *     assert.match(welcome.subject, /Welcome/)
 */
export async function useTestMail(options: TestMailOptions): Promise<TestMails> {
  // The templates' engine is for those who use it.
  const { TestMail } = await import('./test-mail');
  await connected?.restore();
  const mail = await TestMail.open(options);
  connected = mail;
  return {
    clear: () => mail.clear(),
    restore: () => restore(mail),
    [Symbol.asyncDispose]: () => restore(mail),
  };
}

/** All mails since `useTestMail()`, or since they were cleared, oldest first. */
export function deliveries(): readonly OutgoingMessage[] {
  return [...current('deliveries').messages];
}

/** @returns the mails that `during` sends, oldest first. */
export async function captureEmails(during: () => unknown): Promise<readonly OutgoingMessage[]> {
  const mail = current('captureEmails');
  const before = mail.messages.length;
  await during();
  return mail.messages.slice(before);
}

/**
 * Fails unless exactly so many mails have been sent; 0 for none.
 *
 *     assertEmails(1)
 *     await assertEmails(1, () => performEnqueuedJobs(() => signUp({ email })))
 *
 * @param during only what this sends is counted; then a promise is returned.
 * @throws AssertionError that lists the mails.
 */
export function assertEmails(count: number): void;
export function assertEmails(count: number, during: () => unknown): Promise<void>;
export function assertEmails(count: number, during?: () => unknown): void | Promise<void> {
  if (!during) return check(count, current('assertEmails').messages);
  return captureEmails(during).then((mails) => check(count, mails));
}

function check(count: number, mails: readonly OutgoingMessage[]): void {
  if (mails.length === count) return;
  const list = mails.map(({ subject, to, cc, bcc }) => {
    const recipients = [...to, ...cc, ...bcc].map(({ address }) => address);
    return `  ${JSON.stringify(subject)} to ${recipients.join(', ')}`;
  });
  throw new AssertionError({
    message: [`${count} mails should be sent, found ${mails.length || 'none'}`, ...list].join('\n'),
    actual: mails.length,
    expected: count,
    operator: 'assertEmails',
    stackStartFn: assertEmails,
  });
}

async function restore(mail: TestMail): Promise<void> {
  if (connected !== mail) return;
  connected = undefined;
  await mail.restore();
}

function current(asker: string): TestMail {
  if (connected) return connected;
  throw new NotConnectedError(`${asker} knows of no mails: call useTestMail() first`);
}
