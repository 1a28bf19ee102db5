import { runInContext } from '../core/execution-context';
import type { ArgumentsOf, EnqueuedJob, JobOptions, Taken } from '../job/definition/job-class';
import type { Mail } from './compose/mail';
import type { Refusal } from './definition/mail-types';
import type { MailerClass } from './definition/mailer-class';
import { connectedDelivery, enqueueMails } from './deliver-mail-job';

/** The result of `deliverNow`, told apart by its `status`. */
export type DeliveryResult = SentMail | SkippedMail;

/** The mail has been sent. */
export interface SentMail {
  /** sent: the mail server, or the folder of `file` delivery, has it. */
  readonly status: 'sent';
  /** The Message-ID of the mail, in angle brackets. */
  readonly messageId: string;
  /** Recipients that the server refused while it accepted the mail for others. */
  readonly refused?: readonly Refusal[];
}

/** The mail was not sent, which is not a failure. */
export interface SkippedMail {
  /**
   * skipped: an earlier run of the job has sent it, a mailer or an interceptor cancelled it, its action built none, its
   * mailer delivers none, or `rescueFrom` handled an error.
   */
  readonly status: 'skipped';
  /** The reason, as a text for people. */
  readonly reason: string;
}

/** The params that a job can serialize. */
export type TravellingParams<P> = { readonly [K in keyof P]: Taken<P[K]> };

/** A mail that is not built yet: its action runs when it is delivered, once per delivery. */
export class MailMessage<A extends readonly unknown[] = readonly unknown[], P extends object = object> {
  constructor(
    /** The class whose action builds the mail. */
    readonly mailer: MailerClass,
    /** The name of that action. */
    readonly action: string,
    /** The arguments for it. */
    readonly args: A,
    /** The params that were given to `with()`. */
    readonly params: P,
    /** Replaces the locale of the current context. */
    private readonly locale?: string | undefined,
  ) {}

  /** For messages and tags, such as `UserMailer#welcome`. */
  get title(): string {
    return `${this.mailer.name}#${this.action}`;
  }

  /**
   * Runs `work` in the locale that the message was created for.
   * @internal
   */
  inContext<T>(work: () => T): T {
    return this.locale === undefined ? work() : runInContext({ locale: this.locale }, work);
  }

  /**
   * Runs the action without sending. @param appUrl base of `urlFor`. @returns undefined when the action built no mail.
   */
  async build(appUrl?: string): Promise<Mail | undefined> {
    const { ActionRun } = await import('./compose/action-run');
    return this.inContext(() => new ActionRun(this, appUrl).build());
  }

  /**
   * Builds the mail and sends it, or skips it when its job has already sent it. Errors that the mailer's `rescueFrom` handles
   * are not thrown.
   * @throws NotConnectedError before `boot`. InvalidMailError, TemplateError, MissingTemplateError, MissingTextError or
   * AttachmentError for a mail that cannot be built. PermanentDeliveryError when the server refused the mail for good. After
   * any other error a retry may succeed.
   */
  async deliverNow(): Promise<DeliveryResult> {
    return connectedDelivery(`${this.mailer.name}.${this.action}`).deliver(this);
  }

  /**
   * Enqueues a job that delivers the mail, on the mailer's queue unless `options` name another. The job carries mailer,
   * action, arguments, params and the current locale; models travel by id. Inside a transaction it is enqueued with the
   * commit. If a record no longer exists when the job runs, nothing is sent.
   * @throws TypeError for arguments or params that cannot be serialized; NotConnectedError before `boot`.
   */
  deliverLater(
    this: A extends ArgumentsOf<A> ? (P extends TravellingParams<P> ? MailMessage<A, P> : never) : never,
    options?: JobOptions,
  ): Promise<EnqueuedJob>;
  async deliverLater(options: JobOptions = {}): Promise<EnqueuedJob> {
    const [enqueued] = await enqueueMails([this], options, `${this.mailer.name}.deliverLater`);
    return enqueued as EnqueuedJob;
  }
}

/** A message whose arguments and params a job can serialize; never for another. */
export type EnqueueableMessage<M> =
  M extends MailMessage<infer A, infer P>
    ? A extends ArgumentsOf<A>
      ? P extends TravellingParams<P>
        ? M
        : never
      : never
    : never;

/**
 * Enqueues a job for each message, as `deliverLater` does, but all at once: `await deliverAllLater(users.map((user) =>
 * UserMailer.welcome(user)), { wait: '1h' })`. All messages are checked before any is enqueued.
 * @param options of every mail; each goes to its mailer's queue unless they name one.
 * @returns the jobs, in the order of the messages.
 * @throws TypeError for a value that is no message, or for arguments or params that cannot be serialized; NotConnectedError
 * before `boot`; EnqueueError when only some could be enqueued; inside a transaction, none is then.
 */
export async function deliverAllLater<M extends MailMessage>(
  messages: readonly (M & EnqueueableMessage<M>)[],
  options: JobOptions = {},
): Promise<EnqueuedJob[]> {
  const wrong = messages.findIndex((message: unknown) => !(message instanceof MailMessage));
  if (wrong >= 0) {
    throw new TypeError(
      `deliverAllLater: value ${wrong} is no message; give what an action returns: UserMailer.welcome(user)`,
    );
  }
  return enqueueMails(messages, options, 'deliverAllLater');
}
