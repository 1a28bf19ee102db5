import { runInContext } from '../core/execution-context';
import type { JobArgument, JobArguments } from '../job/enqueue/argument-types';
import type { EnqueuedJob } from '../job/enqueue/request';
import type { JobOptions } from '../job/job-class';
import { connectedDelivery } from './connection';
import { enqueueMail } from './deliver-mail-job';
import type { Mail } from './mail';
import type { MailerClass } from './mailer-class';
import type { Refusal } from './transport/transport';

export type DeliveryResult =
  | {
      readonly status: 'sent';
      readonly messageId: string;
      /** Recipients that the server refused while it took the mail for others. */
      readonly refused?: readonly Refusal[];
    }
  | { readonly status: 'skipped'; readonly reason: string };

/** What a job can carry of `with()`. */
type Travelling<P> = { readonly [K in keyof P]: JobArgument | undefined };

/** A mail to come: the action runs when it is delivered, once per delivery. */
export class MailMessage<A extends readonly unknown[] = readonly unknown[], P extends object = object> {
  constructor(
    readonly mailer: MailerClass,
    readonly action: string,
    readonly args: A,
    /** As `with()` gave them. */
    readonly params: P,
    /** Instead of the context's. */
    private readonly locale?: string | undefined,
  ) {}

  /** Such as `UserMailer#welcome`. */
  get title(): string {
    return `${this.mailer.name}#${this.action}`;
  }

  /** Runs `work` as the action is to be run: in the locale that the message was made for. */
  inContext<T>(work: () => T): T {
    return this.locale === undefined ? work() : runInContext({ locale: this.locale }, work);
  }

  /** Runs the action. @param appUrl for links. @returns undefined when it built no mail. */
  async build(appUrl?: string): Promise<Mail | undefined> {
    const { ActionRun } = await import('./action-run');
    return this.inContext(() => new ActionRun(this, appUrl).build());
  }

  /**
   * Builds the mail and sends it, or finds that this job has sent it before.
   * @throws NotConnectedError before `boot`; InvalidMailError, TemplateError, MissingTemplateError, MissingTextError,
   * AttachmentError; PermanentDeliveryError when the server refused for good; any other error may be gone at the next
   * try. What the mailer's `rescueFrom` sees to is not thrown.
   */
  async deliverNow(): Promise<DeliveryResult> {
    return connectedDelivery(`${this.mailer.name}.${this.action}`).deliver(this);
  }

  /**
   * Has a job deliver it, on the mailer's queue unless told otherwise: mailer, action, arguments, params and the locale
   * at hand travel, models by their ids. Inside a transaction it goes with it. When a record is gone by then, nothing is
   * sent.
   * @throws TypeError for what cannot travel; NotConnectedError before `boot`.
   */
  deliverLater(
    this: A extends JobArguments ? (P extends Travelling<P> ? MailMessage<A, P> : never) : never,
    options?: JobOptions,
  ): Promise<EnqueuedJob>;
  deliverLater(options: JobOptions = {}): Promise<EnqueuedJob> {
    return enqueueMail(this, options);
  }
}
