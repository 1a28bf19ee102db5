import path from 'node:path';
import type { OutgoingMessage } from '../../../lib/mailer/definition/mail-types';
import { FileTransport } from '../../../lib/mailer/transport/local-transports';

import type { OpsWeb } from '../ops-web';

/** Writes mails into the folder that the inbox shows. */
export class Mailbox {
  readonly folder: string;
  sent = 0;
  private readonly transport: FileTransport;

  constructor(ops: OpsWeb) {
    this.folder = path.join(ops.folder, '.catamount/mails');
    this.transport = new FileTransport(this.folder);
  }

  /** Sends a mail like the job processor does. @returns the name of its file. */
  async send(message: Partial<OutgoingMessage> = {}): Promise<string> {
    const sent = ++this.sent;
    const { response = '' } = await this.transport.send({
      messageId: `<${sent}@example.com>`,
      // The date is part of the file name, in milliseconds.
      date: new Date(Date.UTC(2026, 2, 12, 14, 0, 0, sent)),
      from: { name: 'Catamount', address: 'hello@example.com' },
      to: [{ name: 'Ada', address: 'ada@example.com' }],
      cc: [],
      bcc: [],
      replyTo: [],
      subject: `Mail ${sent}`,
      text: 'Hello',
      headers: { 'Content-Language': 'en' },
      ...message,
    });
    return path.basename(response);
  }
}
