import fs from 'node:fs/promises';
import path from 'node:path';
import { createTransport } from 'nodemailer';
import { mimeOptions } from './mime';
import type { OutgoingMessage, Receipt, Transport } from './transport';

/**
 * Writes each mail as `<time>-<message id>.eml` into a folder, made on demand. Names sort by time. A file appears
 * complete or not at all; only the owner can read it, for mails hold personal data.
 */
export class FileTransport implements Transport {
  readonly name = 'file';
  private readonly composer = createTransport({ streamTransport: true, buffer: true, newline: 'windows' });

  constructor(private readonly folder: string) {}

  async send(message: OutgoingMessage): Promise<Receipt> {
    const { message: mime } = await this.composer.sendMail(mimeOptions(message));
    const name = `${timestamp(message.date)}-${fileSafe(message.messageId)}.eml`;
    const file = path.join(this.folder, name);
    const unfinished = path.join(this.folder, `.${name}.tmp`);
    await fs.mkdir(this.folder, { recursive: true, mode: 0o700 });
    await fs.writeFile(unfinished, mime, { mode: 0o600 });
    await fs.rename(unfinished, file);
    return { messageId: message.messageId, response: file };
  }

  async close(): Promise<void> {}
}

/** Sorts as text, and every file system takes it. */
function timestamp(date: Date): string {
  return date.toISOString().replace(/[-:]/g, '');
}

function fileSafe(messageId: string): string {
  return messageId
    .replace(/@.*$/, '')
    .replace(/[^A-Za-z0-9._-]/g, '')
    .slice(0, 100);
}
