import type { OutgoingMessage, Receipt, Transport } from './transport';

/** Sends nothing: keeps the mails for a test to look at, oldest first. */
export class TestTransport implements Transport {
  readonly name = 'test';
  readonly messages: OutgoingMessage[] = [];

  async send(message: OutgoingMessage): Promise<Receipt> {
    this.messages.push(message);
    return { messageId: message.messageId };
  }

  async close(): Promise<void> {}
}
