import { AssertionError } from 'node:assert';
import { isDeepStrictEqual } from 'node:util';
import { type ArgumentCodec, serializeArguments } from '../job/record/arguments';
import type { OutgoingMessage } from '../mailer/definition/mail-types';
import type { AnyMailer, MailerClass } from '../mailer/definition/mailer-class';
import { isMailJob } from '../mailer/deliver-mail-job';
import type { ActionArguments, ActionName } from '../mailer/mailer';
import { assertCount, type During } from './assert-count';
import { describeMatch, paramsText } from './describe-job';
import type { LoggedJob } from './job-log';
import { type EnqueuedMatch, matcher } from './job-match';
import { connectedMode } from './use-jobs';
import { captureEmails, currentMail } from './use-test-mail';
import { requireAction, requireCount, requireDuring, requireMatch } from './wrong-arguments';

const ENQUEUED = { verb: 'enqueued', states: ['enqueued'], present: (): void => undefined } as const;
const MATCHED = ['args', 'params', 'queue', 'at', 'wait', 'times'];

/** Narrows an assertion about enqueued mails of an action. An omitted property matches anything. */
export interface EnqueuedEmailWith<M extends AnyMailer, A extends ActionName<M>>
  extends Pick<EnqueuedMatch, 'queue' | 'at' | 'wait' | 'times'> {
  /** All arguments, as they are passed to the action. */
  readonly args?: ActionArguments<M[A]>;
  /** All params, as they are passed to `with()`. */
  readonly params?: M['params'];
}

/**
 * Fails unless `deliverLater` has enqueued a mail of this action, with any arguments or with the given ones.
 *
 *     assertEnqueuedEmailWith(UserMailer, 'welcome')
 *     assertEnqueuedEmailWith(UserMailer, 'reminder', { params: { tenant }, args: [user], times: 1 })
 *     await assertEnqueuedEmailWith(UserMailer, 'welcome', {}, () => signUp(user))
 *
 * @throws AssertionError that lists what is enqueued instead.
 */
export function assertEnqueuedEmailWith<M extends AnyMailer, A extends ActionName<M>>(
  mailer: MailerClass<M>,
  action: A,
  match?: EnqueuedEmailWith<M, A>,
): void;
/** Checks the same for one piece of code. @param during only mails that it enqueues count. */
export function assertEnqueuedEmailWith<M extends AnyMailer, A extends ActionName<M>>(
  mailer: MailerClass<M>,
  action: A,
  match: EnqueuedEmailWith<M, A>,
  during: During,
): Promise<void>;
export function assertEnqueuedEmailWith<M extends AnyMailer, A extends ActionName<M>>(
  mailer: MailerClass<M>,
  action: A,
  { args, params, ...match }: EnqueuedEmailWith<M, A> = {},
  during?: During,
) {
  const mode = connectedMode('assertEnqueuedEmailWith');
  requireAction('assertEnqueuedEmailWith', mailer, action);
  requireMatch('assertEnqueuedEmailWith', { args, params, ...match }, MATCHED);
  requireDuring('assertEnqueuedEmailWith', during);
  const { codec } = mode.dependencies;
  const compared = args === undefined ? match : { ...match, args };
  const subject = `${describeMatch(`the mail ${mailer.name}.${action}`, compared)}${paramsText(params)}`;
  const parts = Object.entries({
    mailer: mailer.name,
    action,
    ...serialized(`${mailer.name}.${action}`, args, params, codec),
  });
  const matches = (entry: LoggedJob) =>
    isMailJob(entry.request.jobClass) &&
    matcher(entry.request.jobClass, match, codec)(entry) &&
    parts.every(([part, value]) => isDeepStrictEqual(Reflect.get(Object(entry.args[0]), part), value));
  return assertCount(mode, { ...ENQUEUED, subject, matches, times: match.times }, during, assertEnqueuedEmailWith);
}

/** Serializes what is compared, as the job does. The locale is not compared, since it comes from the enqueuing code. */
function serialized(
  name: string,
  args: readonly unknown[] | undefined,
  params: object | undefined,
  codec: ArgumentCodec,
): object {
  const defined = params && Object.entries(params).filter(([, value]) => value !== undefined);
  const length = args && args.findLastIndex((arg) => arg !== undefined) + 1;
  const parts = {
    args: args && serializeArguments(name, args.slice(0, length), codec),
    params: defined && serializeArguments(name, [Object.fromEntries(defined)], codec)[0],
  };
  return JSON.parse(JSON.stringify(parts)) as object;
}

/**
 * Fails unless `deliverLater` has enqueued exactly `count` mails.
 *
 *     await assertEnqueuedEmails(1, () => signUp(user))
 *
 * @throws AssertionError that lists what is enqueued.
 */
export function assertEnqueuedEmails(count: number): void;
/** Checks the same for one piece of code. @param during only mails that it enqueues count. */
export function assertEnqueuedEmails(count: number, during: During): Promise<void>;
export function assertEnqueuedEmails(count: number, during?: During) {
  const mode = connectedMode('assertEnqueuedEmails');
  requireCount('assertEnqueuedEmails', count);
  requireDuring('assertEnqueuedEmails', during);
  const matches = ({ request }: LoggedJob) => isMailJob(request.jobClass);
  return assertCount(mode, { ...ENQUEUED, subject: 'mails', matches, times: count }, during, assertEnqueuedEmails);
}

/**
 * Fails unless exactly `count` mails have been sent.
 *
 *     assertEmails(1)
 *     await assertEmails(1, () => performEnqueuedJobs(() => signUp({ email })))
 *
 * @throws AssertionError that lists the mails.
 */
export function assertEmails(count: number): void;
/** Checks the same for one piece of code. @param during only mails that it sends count. */
export function assertEmails(count: number, during: () => unknown): Promise<void>;
export function assertEmails(count: number, during?: () => unknown): void | Promise<void> {
  requireCount('assertEmails', count);
  requireDuring('assertEmails', during);
  if (!during) return checkCount(count, currentMail('assertEmails').messages);
  return captureEmails(during).then((mails) => checkCount(count, mails));
}

function checkCount(count: number, mails: readonly OutgoingMessage[]): void {
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
