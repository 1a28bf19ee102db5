import { NotConnectedError } from '../core/errors';
import { currentContext } from '../core/execution-context';
import type { EnqueuedJob, JobArgument, JobOptions, PreparedJob } from '../job/definition/job-class';
import { jobEquipment } from '../job/enqueue/connection';
import { enqueueJobs } from '../job/enqueue/enqueue';
import { Job } from '../job/job';
import { serializeArguments } from '../job/record/arguments';
import type { MailerClass } from './definition/mailer-class';
import type { DeliveryResult, MailMessage } from './message';

/** Delivers messages: `MailDelivery` in a running tree, a substitute in a test. */
export interface Delivery {
  deliver(message: MailMessage): Promise<DeliveryResult>;
}

/** Recreates messages from their serialized form. */
export interface MessageSource {
  /** @throws UnknownMailerError for a mailer or action that the app does not have. */
  recreateMessage(serialized: SerializedMessage): MailMessage;
}

let connected: Delivery | undefined;
let source: MessageSource | undefined;

export function connectDelivery(delivery: Delivery | undefined, messages: MessageSource | undefined): void {
  connected = delivery;
  source = messages;
}

/** @throws NotConnectedError in a process that delivers no mail. */
export function connectedDelivery(message: string): Delivery {
  if (connected) return connected;
  throw new NotConnectedError(
    `${message} was asked to deliver, but this process delivers no mail. ` +
      'Use deliverLater(), or deliver from a job.',
  );
}

/** @throws NotConnectedError in a process without a mailer lookup; UnknownMailerError. */
function recreateMessage(serialized: SerializedMessage): MailMessage {
  if (source) return source.recreateMessage(serialized);
  throw new NotConnectedError(
    `${serialized.mailer}.${serialized.action} cannot be delivered, since this process knows no mailers: only the job processor does`,
  );
}

/** A message as the argument of its job. */
export interface SerializedMessage {
  /** Class name of the mailer. */
  readonly mailer: string;
  /** The name of its action. */
  readonly action: string;
  /** The arguments for that. */
  readonly args: readonly JobArgument[];
  /** The params that were given to `with()`. */
  readonly params: { readonly [name: string]: JobArgument };
  /** Locale of the code that called `deliverLater`. */
  readonly locale?: string;
}

/**
 * What sends a mail that `deliverLater` has enqueued. An app extends it, in a file in `jobs/`, for mails with rules of their own,
 * such as `rate`, `expiresIn` or `retryOn`, and names that class as `deliveryJob` of a mailer. Its queue is that of the mailer.
 */
export class MailDeliveryJob extends Job<[serialized: SerializedMessage]> {
  static override readonly queue: string = 'mailer';

  async perform(serialized: SerializedMessage): Promise<void> {
    const caller = `${serialized.mailer}.${serialized.action}`;
    await connectedDelivery(caller).deliver(recreateMessage(serialized));
  }
}

/** The job of all mailers that name no other. Every processor registers it, beside the app's own jobs. */
export class DeliverMailJob extends MailDeliveryJob {
  static override readonly jobName = 'catamount.deliver-mail';
}

/** @returns what is wrong with the `deliveryJob` of a mailer; undefined: nothing. */
export function wrongDeliveryJob({ name, deliveryJob }: MailerClass): string | undefined {
  if (deliveryJob === undefined) return undefined;
  const given = typeof deliveryJob === 'function' ? deliveryJob.name : String(deliveryJob);
  if (!isMailJob(deliveryJob)) return `${name}.deliveryJob is ${given}; give a class that extends MailDeliveryJob`;
  return deliveryJob.thread ? `${given} cannot have a thread: mails are sent by the job processor itself` : undefined;
}

export function isMailJob(jobClass: unknown): jobClass is typeof MailDeliveryJob {
  return typeof jobClass === 'function' && jobClass.prototype instanceof MailDeliveryJob;
}

/**
 * Enqueues the jobs of the messages at once, many in a statement.
 * @throws TypeError that names the mailer and the value that cannot be serialized.
 */
export async function enqueueMails(
  messages: readonly MailMessage[],
  options: JobOptions,
  caller: string,
): Promise<EnqueuedJob[]> {
  return enqueueJobs(
    messages.map((message) => prepareJob(message, options)),
    caller,
  );
}

function prepareJob(message: MailMessage, options: JobOptions): PreparedJob {
  const { mailer, action } = message;
  const { locale } = currentContext();
  const { setup, models } = jobEquipment();
  const codec = { serializers: setup?.serializers, models };
  const args = withoutUndefinedEnd(message.args);
  const params = Object.fromEntries(Object.entries(message.params).filter(([, value]) => value !== undefined));
  // The job serializes its argument again; this first pass is for an error that names the mail instead of the job.
  serializeArguments(`${mailer.name}.${action}`, args, codec);
  serializeArguments(`${mailer.name}.with`, [params], codec);
  const serialized = {
    mailer: mailer.name,
    action,
    args,
    params,
    ...(locale === undefined ? {} : { locale }),
  } as SerializedMessage;
  const tags = [message.title, ...(options.tags ?? [])];
  const mistake = wrongDeliveryJob(mailer);
  if (mistake !== undefined) throw new TypeError(mistake);
  const jobClass = (mailer.deliveryJob ?? DeliverMailJob) as typeof MailDeliveryJob;
  const job = jobClass.set({ ...options, queue: options.queue ?? mailer.queue, tags }).prepare(serialized);
  return { ...job, encrypt: Boolean(mailer.encrypt || jobClass.encrypt) };
}

/** Drops trailing undefined arguments, which equal omitted ones and cannot be serialized. */
function withoutUndefinedEnd(args: readonly unknown[]): readonly unknown[] {
  return args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1);
}
