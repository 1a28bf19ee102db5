import { currentContext } from '../core/execution-context';
import type { JobArgument } from '../job/enqueue/argument-types';
import { serializeArguments } from '../job/enqueue/arguments';
import { jobEquipment } from '../job/enqueue/connection';
import type { EnqueuedJob } from '../job/enqueue/request';
import { Job } from '../job/job';
import type { JobOptions } from '../job/job-class';
import { connectedDelivery, messageOf } from './connection';
import type { MailMessage } from './message';

/** A message as it travels. */
export interface MailOrder {
  /** Name of the class. */
  readonly mailer: string;
  readonly action: string;
  readonly args: readonly JobArgument[];
  readonly params: { readonly [name: string]: JobArgument };
  /** Of the code that asked for it. */
  readonly locale?: string;
}

type TravellingOrder = { readonly [K in keyof MailOrder]: MailOrder[K] };

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
export async function enqueueMail(message: MailMessage, options: JobOptions): Promise<EnqueuedJob> {
  const { mailer, action } = message;
  const { locale } = currentContext();
  const { setup, models } = jobEquipment();
  const codec = { serializers: setup?.serializers, models };
  const args = withoutUndefinedEnd(message.args);
  const params = Object.fromEntries(Object.entries(message.params).filter(([, value]) => value !== undefined));
  // Once before the job does it, for an error that speaks of the mail.
  serializeArguments(`${mailer.name}.${action}`, args, codec);
  serializeArguments(`${mailer.name}.with`, [params], codec);
  const order = { mailer: mailer.name, action, args, params, ...(locale === undefined ? {} : { locale }) } as MailOrder;
  const tags = [message.title, ...(options.tags ?? [])];
  return DeliverMailJob.set({ ...options, queue: options.queue ?? mailer.queue, tags }).performLater(order);
}

/** Arguments that were left out, or given as undefined, which is the same to a function. */
function withoutUndefinedEnd(args: readonly unknown[]): readonly unknown[] {
  return args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1);
}
