import { NotConnectedError } from '../core/errors';
import type { DeliveryResult, MailMessage } from './message';

/** What carries messages away: `MailDelivery` in a running tree, anything else in a test. */
export interface Delivery {
  deliver(message: MailMessage): Promise<DeliveryResult>;
}

let connected: Delivery | undefined;

export function connectDelivery(delivery: Delivery | undefined): void {
  connected = delivery;
}

/** @throws NotConnectedError in a process that delivers no mail. */
export function connectedDelivery(message: string): Delivery {
  if (connected) return connected;
  throw new NotConnectedError(
    `${message} was asked to deliver, but this process delivers no mail. ` +
      'Deliver from a job (the job processor connects the mailer), or call Mailer.connect() first.',
  );
}
