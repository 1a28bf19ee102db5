import { isDeepStrictEqual } from 'node:util';
import { serializeArguments } from '../job/enqueue/arguments';
import type { JsonValue } from '../job/record/json';
import { DeliverMailJob } from '../mailer/deliver-mail-job';
import type { MailMessage } from '../mailer/message';
import { assertCount, check, type During } from './assertion';
import { connectedMode } from './connected-mode';
import { type EnqueuedMatch, matcher } from './job-match';
import type { LedgerEntry } from './ledger';

type Message = Pick<MailMessage, 'mailer' | 'action' | 'args' | 'params'>;

export type EnqueuedEmailMatch = Pick<EnqueuedMatch, 'queue' | 'at' | 'wait' | 'times'>;

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
  const mode = connectedMode('assertEnqueuedEmail');
  const { codec } = mode.equipment;
  const subject = `the mail ${message.mailer.name}.${message.action}`;
  const wanted = travelled(message, (name, values) => serializeArguments(name, values, codec));
  const matchesJob = matcher(DeliverMailJob, match, codec);
  return check(mode, during, (since) => {
    const found = mode.ledger.in(['enqueued'], since).filter((entry) => matchesJob(entry) && isOrder(entry, wanted));
    assertCount(mode, { subject, verb: 'enqueued', found, times: match.times, since }, assertEnqueuedEmail);
  });
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

/** What of an order is compared: the locale is that of whoever enqueued. */
function travelled(
  { mailer, action, args, params }: Message,
  serialize: (name: string, values: readonly unknown[]) => readonly JsonValue[],
): unknown {
  const name = `${mailer.name}.${action}`;
  const given = Object.entries(params).filter(([, value]) => value !== undefined);
  const length = args.findLastIndex((arg) => arg !== undefined) + 1;
  const order = {
    args: serialize(name, args.slice(0, length)),
    params: serialize(name, [Object.fromEntries(given)])[0],
  };
  return JSON.parse(JSON.stringify({ mailer: mailer.name, action, ...order }));
}

function isOrder(entry: LedgerEntry, wanted: unknown): boolean {
  const { locale: _, ...order } = entry.args[0] as { readonly locale?: string };
  return isDeepStrictEqual(order, wanted);
}
