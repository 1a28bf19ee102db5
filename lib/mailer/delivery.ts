import type { Config } from '../core/config';
import { toError } from '../core/errors';
import type { EventName, Events } from '../core/events';
import type { I18n } from '../core/i18n';
import type { Deadline } from '../support/deadline';
import type { Service } from '../support/service';
import type { Delivery } from './connection';
import { type DeliveryKey, DeliveryKeys } from './delivery-key';
import type { DeliveryRecords } from './delivery-record';
import { type Draft, draftOf } from './draft';
import { DeliveryInProgressError } from './errors';
import type { DeliveryResult, MailMessage } from './message';
import { Renderer } from './renderer';
import { createMailTransport } from './transport/create';
import { recipients } from './transport/mime';
import type { Receipt, Transport } from './transport/transport';

export interface MailDeliveryOptions {
  readonly config: Pick<Config, 'mail' | 'appUrl' | 'defaultLocale' | 'environment'>;
  readonly record: DeliveryRecords;
  readonly i18n: I18n;
  readonly templatesDir: string;
  readonly events: Events;
  /** Default: the one that `config.mail.delivery` names. */
  readonly transport?: Transport;
}

/** Kept of the time to stop, for what is cut off to be recorded. */
const CUT_OFF_MS = 500;
/** After any of these the next mail of the job belongs to another run. */
const RUN_EDGES = [
  'job.started',
  'job.succeeded',
  'job.retrying',
  'job.dead',
  'job.discarded',
  'job.returned',
  'job.superseded',
] as const;

/**
 * Turns a message into a mail and sends it: action, draft, claim, parts, transport, record. Loads email-templates and
 * nodemailer, so only the process that delivers makes one.
 */
export class MailDelivery implements Service, Delivery {
  readonly name = 'mail delivery';
  readonly transport: Transport;
  private readonly renderer: Renderer;
  private readonly record: DeliveryRecords;
  private readonly keys = new DeliveryKeys();
  private readonly underway = new Set<Promise<unknown>>();
  private readonly unsubscribe: readonly (() => void)[];
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: MailDeliveryOptions) {
    const { config, events, templatesDir } = options;
    this.transport = options.transport ?? createMailTransport(config.mail, events);
    const cache = config.environment === 'production';
    this.renderer = new Renderer({ templatesDir, cache, appUrl: config.appUrl });
    this.record = options.record;
    this.unsubscribe = RUN_EDGES.map((name) => events.on(name, ({ id }) => this.keys.forget(id)));
  }

  async start(): Promise<void> {
    // Housekeeping that nobody waits for.
    void this.track(this.record.prune().catch(this.report('removing old delivery records')));
  }

  /** Lets mails that are on their way finish; what is late is cut off and sent by a later run of its job. */
  stop(deadline: Deadline): Promise<void> {
    this.stopping ??= this.settle(deadline);
    return this.stopping;
  }

  /** As `MailMessage.deliverNow`. */
  async deliver(message: MailMessage): Promise<DeliveryResult> {
    if (this.stopping) throw new Error('mail delivery has stopped in this process');
    return this.track(this.attempt(message));
  }

  private async attempt(message: MailMessage): Promise<DeliveryResult> {
    const who = { mailer: message.mailer.name, action: message.action };
    try {
      const mail = await message.build();
      if (!mail) return this.skipped(who, 'the action built no mail');
      const { config, i18n } = this.options;
      const draft = draftOf(message, mail, { from: config.mail.from, defaultLocale: config.defaultLocale, i18n });
      const key = this.keys.next(draft);
      const claim = await this.record.claim(key, draft);
      if (claim.verdict === 'sent') return this.skipped(who, 'already sent by an earlier run of this job');
      if (claim.verdict === 'busy') {
        throw new DeliveryInProgressError(`another run of this job is sending ${who.mailer}#${who.action}`);
      }
      return await this.send(draft, key, claim.token);
    } catch (thrown) {
      const error = toError(thrown);
      this.options.events.emit('mail.failed', { ...who, error });
      throw error;
    }
  }

  private async send(draft: Draft, key: DeliveryKey, token: string): Promise<DeliveryResult> {
    const since = performance.now();
    let receipt: Receipt;
    try {
      const { locale, t } = draft.texts;
      const parts = await this.renderer.render({ ...draft, locale, t });
      receipt = await this.transport.send({ ...draft, ...parts, messageId: key.messageId, date: new Date() });
    } catch (thrown) {
      const error = toError(thrown);
      await this.record.failed(key.key, token, error).catch(this.report('recording a failed mail'));
      throw error;
    }
    // An error here must not fail the job: it would run again and send again.
    await this.record.sent(key.key, receipt).catch(this.report('recording a mail that was sent'));
    this.announce(draft, receipt, Math.round(performance.now() - since));
    return { status: 'sent', messageId: key.messageId };
  }

  private announce(draft: Draft, receipt: Receipt, durationMs: number): void {
    const { mailer, action } = draft;
    const refused = new Set(receipt.refused?.map((one) => one.address));
    const to = recipients(draft).filter((address) => !refused.has(address));
    const { messageId } = receipt;
    this.options.events.emit('mail.sent', { mailer, action, to, via: this.transport.name, messageId, durationMs });
    for (const { address, answer } of receipt.refused ?? []) {
      const error = new Error(`the server took the mail for the others, but not for ${address}: ${answer}`);
      this.options.events.emit('mail.failed', { mailer, action, error });
    }
  }

  private skipped(who: { readonly mailer: string; readonly action: string }, reason: string): DeliveryResult {
    this.options.events.emit('mail.skipped', { ...who, reason });
    return { status: 'skipped', reason };
  }

  private report(during: string): (thrown: unknown) => void {
    const name: EventName = 'process.error';
    return (thrown) => this.options.events.emit(name, { error: toError(thrown), during });
  }

  private track<T>(work: Promise<T>): Promise<T> {
    this.underway.add(work);
    const done = () => this.underway.delete(work);
    work.then(done, done);
    return work;
  }

  private async settle(deadline: Deadline): Promise<void> {
    const outcome = await deadline.earlier(CUT_OFF_MS).wait(Promise.allSettled(this.underway));
    await this.transport.close({ force: outcome === 'late' });
    // What was cut off is still to be recorded as failed.
    await deadline.wait(Promise.allSettled(this.underway));
    for (const off of this.unsubscribe) off();
  }
}
