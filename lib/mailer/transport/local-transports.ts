import fs from 'node:fs/promises';
import path from 'node:path';
import type { Events } from '../../core/events';
import type { DeliveryMethod } from '../definition/delivery-method';
import type { OutgoingMessage, Receipt } from '../definition/mail-types';
import { composeMime } from './mime';
import { recipients } from './transport';

/**
 * Writes each mail as `<time>-<message id>.eml` into a folder, which is created on demand. Names sort by time. A file
 * appears complete or not at all, and only its owner can read it, since mails hold personal data.
 */
export class FileTransport implements DeliveryMethod {
  readonly name = 'file';

  constructor(private readonly folder: string) {}

  async send(message: OutgoingMessage): Promise<Receipt> {
    const mime = await composeMime(message);
    const name = `${timestamp(message.date)}-${fileSafe(message.messageId)}.eml`;
    const file = path.join(this.folder, name);
    const unfinished = path.join(this.folder, `.${name}.tmp`);
    await fs.mkdir(this.folder, { recursive: true, mode: 0o700 });
    await fs.writeFile(unfinished, mime, { mode: 0o600 });
    await fs.rename(unfinished, file);
    return { messageId: message.messageId, response: file };
  }
}

/** Formats a time so that it sorts as text and is valid in a file name everywhere. */
function timestamp(date: Date): string {
  return date.toISOString().replace(/[-:]/g, '');
}

function fileSafe(messageId: string): string {
  return messageId
    .replace(/@.*$/, '')
    .replace(/[^A-Za-z0-9._-]/g, '')
    .slice(0, 100);
}

export class LogTransport implements DeliveryMethod {
  readonly name = 'log';

  constructor(private readonly events: Events) {}

  async send(message: OutgoingMessage): Promise<Receipt> {
    const { messageId, subject, text } = message;
    this.events.emit('mail.logged', { to: recipients(message), subject, text, messageId });
    return { messageId };
  }
}

/** Keeps mails for tests instead of sending them, oldest first. */
export class TestTransport implements DeliveryMethod {
  readonly name = 'test';
  readonly messages: OutgoingMessage[] = [];

  /** @param kept maximum number of mails; beyond it the oldest are dropped. Default: all are kept. */
  constructor(private readonly kept = Number.POSITIVE_INFINITY) {}

  async send(message: OutgoingMessage): Promise<Receipt> {
    this.messages.push(message);
    if (this.messages.length > this.kept) this.messages.shift();
    return { messageId: message.messageId };
  }
}
