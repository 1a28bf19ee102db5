import { NotConnectedError } from '../core/errors';
import type { MailOrder } from './deliver-mail-job';
import type { DeliveryResult, MailMessage } from './message';

/** What carries messages away: `MailDelivery` in a running tree, anything else in a test. */
export interface Delivery {
  deliver(message: MailMessage): Promise<DeliveryResult>;
}

/** Makes messages again of what has travelled. */
export interface MessageSource {
  /** @throws UnknownMailerError */
  messageOf(order: MailOrder): MailMessage;
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
      'Use deliverLater(), deliver from a job (the job processor connects the mailer), or call Mailer.connect() first.',
  );
}

/** @throws NotConnectedError in a process that knows no mailers by name; UnknownMailerError. */
export function messageOf(order: MailOrder): MailMessage {
  if (source) return source.messageOf(order);
  throw new NotConnectedError(
    `${order.mailer}.${order.action} is to be delivered, but this process knows no mailers: give Mailer.connect() some`,
  );
}
