import type { OutgoingMessage, Receipt, Transport } from './transport';

/** Sends nothing: keeps the mails for a test to look at, oldest first. */
export class TestTransport implements Transport {
  readonly name = 'test';
  readonly messages: OutgoingMessage[] = [];

  /** @param kept the oldest make room for those beyond it. Default: all are kept. */
  constructor(private readonly kept = Number.POSITIVE_INFINITY) {}

  async send(message: OutgoingMessage): Promise<Receipt> {
    this.messages.push(message);
    if (this.messages.length > this.kept) this.messages.shift();
    return { messageId: message.messageId };
  }

  async close(): Promise<void> {}
}
