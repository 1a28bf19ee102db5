import type { Events } from '../../core/events';
import { currentContext } from '../../core/execution-context';
import { type SpanDescription, traced } from '../../core/tracing';
import { addressKey } from '../../support/email-address';
import type { Progress } from '../../support/progress';
import { toError } from '../../support/to-error';
import type { ActionRun } from '../compose/action-run';
import { intercept, type MailComposer, revalidate } from '../compose/composer';
import type { Draft } from '../compose/draft';
import { callbacksOf, runAround, runCallbacks } from '../definition/callbacks';
import type { DeliveryMethod } from '../definition/delivery-method';
import {
  DeliveryInProgressError,
  MailCancelled,
  PartialDeliveryError,
  PermanentDeliveryError,
} from '../definition/errors';
import type { IdempotencyKey, OutgoingMessage, Receipt } from '../definition/mail-types';
import type { AnyMailer } from '../definition/mailer-class';
import type { MailOrigin, MailSetup } from '../definition/setup';
import type { DeliveryResult } from '../message';
import { recipients } from '../transport/transport';
import type { Claim, DeliveryStore } from './delivery-record';
import type { DurableWrites } from './durable-writes';

export interface SendingOptions {
  readonly run: ActionRun;
  readonly draft: Draft;
  readonly key: IdempotencyKey;
  readonly claim: Extract<Claim, { readonly verdict: 'mine' }>;
  readonly composer: MailComposer;
  readonly transport: DeliveryMethod;
  readonly record: DeliveryStore;
  readonly writes: DurableWrites;
  readonly events: Events;
  readonly setup: MailSetup;
  /** Records whether mails reach the server. */
  readonly progress: Progress;
}

/** Sends one mail whose delivery record is claimed: composes it, sends it and records the outcome. */
export class SendAttempt {
  private readonly origin: MailOrigin;
  private readonly mailer: AnyMailer;

  constructor(private readonly options: SendingOptions) {
    const { mailer, action } = options.draft;
    this.origin = { mailer, action };
    this.mailer = options.run.mailer;
  }

  async send(): Promise<DeliveryResult> {
    const since = performance.now();
    let sending: Promise<DeliveryResult> | undefined;
    try {
      const message = this.toTheRest(await this.finish());
      const { events } = this.options;
      events.emit('mail.processed', { ...this.origin, durationMs: Math.round(performance.now() - since) });
      const deliver = async () => {
        sending = this.deliver(message, since);
        await sending;
      };
      await runAround(this.mailer, 'aroundDeliver', this.origin.action, deliver, message);
      if (!sending) throw new MailCancelled('aroundDeliver did not deliver it');
    } catch (thrown) {
      if (!sending) {
        await this.recordFailure(thrown);
        throw thrown;
      }
      // The sending has recorded its outcome, which holds whatever a callback does afterwards.
      const result = await sending;
      this.report('aroundDeliver of a mailer')(thrown);
      return result;
    }
    return sending;
  }

  private async deliver(message: OutgoingMessage, since: number): Promise<DeliveryResult> {
    const { key, claim, record, writes } = this.options;
    let receipt: Receipt;
    try {
      // Callbacks and interceptors may be slow, and the lease must cover the send.
      if (performance.now() - since > record.renewAfterMs && !(await record.renew(key.key, claim.token))) {
        throw new DeliveryInProgressError(`another run of this job has taken over ${this.options.run.message.title}`);
      }
      receipt = await this.transmit(message);
    } catch (thrown) {
      await this.recordFailure(thrown);
      throw thrown;
    }
    const pending = this.pending(receipt);
    if (pending.length > 0) {
      const error = new PartialDeliveryError(pending);
      const settled = [...claim.settled, ...without(attemptRecipients(message), pending)];
      await writes.write('recording a mail that is partly sent', () =>
        record.recordPartial(key.key, claim.token, settled, error),
      );
      await this.announce(message, receipt, since);
      throw error;
    }
    const to = recipients(message);
    // An error here must not fail the job, for its next run would send the mail again.
    await writes.write('recording a mail that was sent', () => record.sent(key.key, receipt, to));
    await this.announce(message, receipt, since);
    const { refused } = receipt;
    return { status: 'sent', messageId: claim.messageId, ...(refused && { refused }) };
  }

  /** A server that refuses this one mail works, so the refusal counts as progress. */
  private async transmit(message: OutgoingMessage): Promise<Receipt> {
    const { transport, progress } = this.options;
    progress.due();
    try {
      const receipt = await traced(
        'client',
        () => this.describe(),
        async () => transport.send(message),
      );
      progress.moved();
      return receipt;
    } catch (thrown) {
      const error = toError(thrown);
      if (isAboutTheMail(error)) progress.moved();
      else progress.failed(error);
      throw thrown;
    }
  }

  /** OpenTelemetry has no conventions for mails. */
  private describe(): SpanDescription {
    const { run, claim, transport } = this.options;
    const { mailer, action } = this.origin;
    const about = { 'catamount.mailer.name': mailer, 'catamount.mailer.action': action };
    return [
      `deliver ${run.message.title}`,
      { ...about, 'catamount.mail.via': transport.name, 'catamount.mail.id': claim.messageId },
    ];
  }

  private async finish(): Promise<OutgoingMessage> {
    const { composer, draft, claim, setup } = this.options;
    let message = await composer.compose(draft, claim);
    if ((await runCallbacks(this.mailer, 'beforeDeliver', draft.action, message)) > 0) {
      message = revalidate(message, 'after beforeDeliver');
    }
    return intercept(message, this.origin, setup.interceptors ?? []);
  }

  /** Leaves out the recipients that an earlier run has settled. */
  private toTheRest(message: OutgoingMessage): OutgoingMessage {
    const { settled } = this.options.claim;
    if (settled.length === 0) return message;
    const envelopeTo = without(
      recipients(message),
      settled.map((address) => ({ address })),
    );
    if (envelopeTo.length === 0)
      throw new MailCancelled('an earlier run of this job has settled all recipients of this mail');
    return { ...message, envelopeTo };
  }

  /** Recipients that the job's next run tries again. Outside a job there is none, since nothing would retry them. */
  private pending({ refused = [] }: Receipt): NonNullable<Receipt['refused']> {
    return currentContext().jobId === undefined ? [] : refused.filter(({ permanent }) => permanent === false);
  }

  private async recordFailure(thrown: unknown): Promise<void> {
    const { record, key, claim } = this.options;
    const noted =
      thrown instanceof MailCancelled
        ? record.release(key.key, claim.token)
        : record.failed(key.key, claim.token, toError(thrown));
    await noted.catch(this.report('recording a failed mail'));
  }

  private async announce(message: OutgoingMessage, receipt: Receipt, since: number): Promise<void> {
    const { events, transport, setup } = this.options;
    const { origin } = this;
    const { messageId, refused = [] } = receipt;
    const to = without(attemptRecipients(message), refused);
    const durationMs = Math.round(performance.now() - since);
    events.emit('mail.sent', { to, via: transport.name, messageId, durationMs, ...origin });
    const pending = new Set(this.pending(receipt));
    for (const one of refused.filter((each) => !pending.has(each))) {
      const error = new Error(`the server accepted the mail for the others, but not for ${one.address}: ${one.answer}`);
      events.emit('mail.failed', { error, ...origin });
    }
    for (const callback of callbacksOf(this.mailer, 'afterDeliver', origin.action)) {
      await this.attempt('afterDeliver of a mailer', () => callback(message, receipt));
    }
    for (const observer of setup.observers ?? []) {
      await this.attempt('an observer of mails', () => observer(message, receipt, origin));
    }
  }

  /** Reports an error instead of throwing it: the mail is out, and a failed job would send it again. */
  private async attempt(during: string, work: () => unknown): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.report(during)(thrown);
    }
  }

  private report(during: string): (thrown: unknown) => void {
    return (thrown) => this.options.events.emit('process.error', { error: toError(thrown), during });
  }
}

/** nodemailer's codes for replies about one mail, not about the server. */
const ABOUT_THE_MAIL = new Set(['EENVELOPE', 'EMESSAGE', 'ESTREAM']);

function isAboutTheMail(error: Error): boolean {
  return error instanceof PermanentDeliveryError || ('code' in error && ABOUT_THE_MAIL.has(String(error.code)));
}

function attemptRecipients(message: OutgoingMessage): readonly string[] {
  return message.envelopeTo ?? recipients(message);
}

function without(addresses: readonly string[], others: readonly { readonly address: string }[]): string[] {
  const keys = new Set(others.map(({ address }) => addressKey(address)));
  return addresses.filter((address) => !keys.has(addressKey(address)));
}
