import type { Events } from '../../core/events';
import { recipients } from './mime';
import type { OutgoingMessage, Receipt, Transport } from './transport';

/** Sends nothing: the mail's text goes to the log. */
export class LogTransport implements Transport {
  readonly name = 'log';

  constructor(private readonly events: Events) {}

  async send(message: OutgoingMessage): Promise<Receipt> {
    const { messageId, subject, text } = message;
    this.events.emit('mail.logged', { to: recipients(message), subject, text, messageId });
    return { messageId };
  }

  async close(): Promise<void> {}
}
