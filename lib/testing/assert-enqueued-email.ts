import { isDeepStrictEqual } from 'node:util';
import { serializeArguments } from '../job/enqueue/arguments';
import type { JsonValue } from '../job/record/json';
import type { ActionArguments, ActionName } from '../mailer/actions';
import { DeliverMailJob } from '../mailer/deliver-mail-job';
import type { AnyMailer, MailerClass } from '../mailer/mailer-class';
import type { MailMessage } from '../mailer/message';
import { assertCount, check, type During } from './assertion';
import { connectedMode } from './connected-mode';
import { type EnqueuedMatch, matcher } from './job-match';
import type { LedgerEntry } from './ledger';

type Message = Pick<MailMessage, 'mailer' | 'action' | 'args' | 'params'>;

export type EnqueuedEmailMatch = Pick<EnqueuedMatch, 'queue' | 'at' | 'wait' | 'times'>;

/** Which mails of an action are meant. What is left out is not looked at. */
export interface EnqueuedEmailWith<M extends AnyMailer, A extends ActionName<M>> extends EnqueuedEmailMatch {
  /** All of them, as the action was given them. */
  readonly args?: ActionArguments<M[A]>;
  /** All of them, as `with()` was given them. */
  readonly params?: M['params'];
}

/**
 * Fails unless this mail is enqueued, by `deliverLater`. The message is not delivered, only compared: mailer, action,
 * arguments and params.
 *
 *     assertEnqueuedEmail(UserMailer.welcome(user))
 *     assertEnqueuedEmail(UserMailer.with({ tenant }).reminder(user), { wait: '3d', times: 1 })
 *     await assertEnqueuedEmail(UserMailer.welcome(user), {}, () => signUp(user))
 *
 * @param during only what this enqueues is looked at; then a promise is returned.
 * @throws AssertionError that lists what is enqueued instead.
 */
export function assertEnqueuedEmail(message: Message, match?: EnqueuedEmailMatch): void;
export function assertEnqueuedEmail(message: Message, match: EnqueuedEmailMatch, during: During): Promise<void>;
export function assertEnqueuedEmail(message: Message, match: EnqueuedEmailMatch = {}, during?: During) {
  return assertMail(message, match, during, assertEnqueuedEmail);
}

/**
 * Fails unless a mail of this action is enqueued, by `deliverLater`, whatever its arguments, or with those that are named.
 *
 *     assertEnqueuedEmailWith(UserMailer, 'welcome')
 *     assertEnqueuedEmailWith(UserMailer, 'reminder', { params: { tenant }, args: [user], times: 1 })
 *     await assertEnqueuedEmailWith(UserMailer, 'welcome', {}, () => signUp(user))
 *
 * @param during only what this enqueues is looked at; then a promise is returned.
 * @throws AssertionError that lists what is enqueued instead.
 */
export function assertEnqueuedEmailWith<M extends AnyMailer, A extends ActionName<M>>(
  mailer: MailerClass<M>,
  action: A,
  match?: EnqueuedEmailWith<M, A>,
): void;
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
  return assertMail({ mailer, action, args, params }, match, during, assertEnqueuedEmailWith);
}

/**
 * Fails unless exactly so many mails are enqueued, by `deliverLater`.
 *
 *     await assertEnqueuedEmails(1, () => signUp(user))
 *
 * @param during only what this enqueues is counted; then a promise is returned.
 * @throws AssertionError that lists what is enqueued.
 */
export function assertEnqueuedEmails(count: number): void;
export function assertEnqueuedEmails(count: number, during: During): Promise<void>;
export function assertEnqueuedEmails(count: number, during?: During) {
  const mode = connectedMode('assertEnqueuedEmails');
  return check(mode, during, (since) => {
    const found = mode.ledger.in(['enqueued'], since).filter(({ request }) => isMail(request));
    assertCount(mode, { subject: 'mails', verb: 'enqueued', found, times: count, since }, assertEnqueuedEmails);
  });
}

function isMail({ jobClass }: LedgerEntry['request']): boolean {
  return (jobClass as unknown) === DeliverMailJob;
}

/** Where the stack of an AssertionError begins. */
type Caller = Parameters<typeof assertCount>[2];

/** What an assertion says of a mail; args and params that are left out are not looked at. */
type Wanted = Pick<Message, 'mailer' | 'action'> & { readonly [K in 'args' | 'params']: Message[K] | undefined };

function assertMail(wanted: Wanted, match: EnqueuedEmailMatch, during: During | undefined, caller: Caller) {
  const mode = connectedMode(caller.name);
  const { codec } = mode.equipment;
  const subject = `the mail ${wanted.mailer.name}.${wanted.action}`;
  const parts = Object.entries(travelled(wanted, (name, values) => serializeArguments(name, values, codec)));
  const matchesJob = matcher(DeliverMailJob, match, codec);
  return check(mode, during, (since) => {
    const found = mode.ledger.in(['enqueued'], since).filter((entry) => {
      const [order] = entry.args;
      return (
        matchesJob(entry) && parts.every(([part, value]) => isDeepStrictEqual(Reflect.get(Object(order), part), value))
      );
    });
    assertCount(mode, { subject, verb: 'enqueued', found, times: match.times, since }, caller);
  });
}

/** What of an order is compared: not the locale, which is that of whoever enqueued. */
function travelled(
  { mailer, action, args, params }: Wanted,
  serialize: (name: string, values: readonly unknown[]) => readonly JsonValue[],
): object {
  const name = `${mailer.name}.${action}`;
  const given = params && Object.entries(params).filter(([, value]) => value !== undefined);
  const length = args && args.findLastIndex((arg) => arg !== undefined) + 1;
  const order = {
    args: args && serialize(name, args.slice(0, length)),
    params: given && serialize(name, [Object.fromEntries(given)])[0],
  };
  return JSON.parse(JSON.stringify({ mailer: mailer.name, action, ...order })) as object;
}
