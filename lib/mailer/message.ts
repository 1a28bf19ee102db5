import { NotConnectedError } from '../core/errors';
import { currentContext, runInContext } from '../core/execution-context';
import type { EnqueuedJob, JobArgument, JobArguments, JobOptions } from '../job/definition/job-class';
import { jobEquipment } from '../job/enqueue/enqueue';
import { Job } from '../job/job';
import { serializeArguments } from '../job/record/arguments';
import type { Mail } from './compose/mail';
import type { Refusal } from './definition/mail-types';
import type { MailerClass } from './definition/mailer-class';

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
    const { ActionRun } = await import('./compose/action-run');
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

/** What carries messages away: `MailDelivery` in a running tree, anything else in a test. */
export interface Delivery {
  deliver(message: MailMessage): Promise<DeliveryResult>;
}

/** Makes messages again of what has travelled. */
export interface MessageSource {
  /** @throws UnknownMailerError */
  messageOf(order: SerializedMessage): MailMessage;
}

let connected: Delivery | undefined;
let source: MessageSource | undefined;

export function connectDelivery(delivery: Delivery | undefined, messages: MessageSource | undefined): void {
  connected = delivery;
  source = messages;
}

/** @throws NotConnectedError in a process that delivers no mail. */
function connectedDelivery(message: string): Delivery {
  if (connected) return connected;
  throw new NotConnectedError(
    `${message} was asked to deliver, but this process delivers no mail. ` +
      'Use deliverLater(), deliver from a job (the job processor connects the mailer), or call Mailer.connect() first.',
  );
}

/** @throws NotConnectedError in a process that knows no mailers by name; UnknownMailerError. */
function messageOf(order: SerializedMessage): MailMessage {
  if (source) return source.messageOf(order);
  throw new NotConnectedError(
    `${order.mailer}.${order.action} is to be delivered, but this process knows no mailers: give Mailer.connect() some`,
  );
}

/** A message as it travels. */
export interface SerializedMessage {
  /** Name of the class. */
  readonly mailer: string;
  readonly action: string;
  readonly args: readonly JobArgument[];
  readonly params: { readonly [name: string]: JobArgument };
  /** Of the code that asked for it. */
  readonly locale?: string;
}

type TravellingOrder = { readonly [K in keyof SerializedMessage]: SerializedMessage[K] };

/** What `deliverLater` enqueues. Known to every processor, beside the app's own jobs. */
export class DeliverMailJob extends Job<[order: TravellingOrder]> {
  static override readonly jobName = 'catamount.deliver-mail';
  static override readonly queue = 'mailer';

  async perform(order: TravellingOrder): Promise<void> {
    const asker = `${order.mailer}.${order.action}`;
    await connectedDelivery(asker).deliver(messageOf(order));
  }
}

/** @throws TypeError that names the mailer and what cannot travel. */
async function enqueueMail(message: MailMessage, options: JobOptions): Promise<EnqueuedJob> {
  const { mailer, action } = message;
  const { locale } = currentContext();
  const { setup, models } = jobEquipment();
  const codec = { serializers: setup?.serializers, models };
  const args = withoutUndefinedEnd(message.args);
  const params = Object.fromEntries(Object.entries(message.params).filter(([, value]) => value !== undefined));
  // Once before the job does it, for an error that speaks of the mail.
  serializeArguments(`${mailer.name}.${action}`, args, codec);
  serializeArguments(`${mailer.name}.with`, [params], codec);
  const order = {
    mailer: mailer.name,
    action,
    args,
    params,
    ...(locale === undefined ? {} : { locale }),
  } as SerializedMessage;
  const tags = [message.title, ...(options.tags ?? [])];
  return DeliverMailJob.set({ ...options, queue: options.queue ?? mailer.queue, tags }).performLater(order);
}

/** Arguments that were left out, or given as undefined, which is the same to a function. */
function withoutUndefinedEnd(args: readonly unknown[]): readonly unknown[] {
  return args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1);
}
