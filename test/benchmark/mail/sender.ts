import { createTransport } from 'nodemailer';
import type { Person } from './people';

/** One way to send welcome mails, in a process of its own. */
export interface MailSender {
  /** @param n differs from mail to mail. */
  send(person: Person, n: number): Promise<unknown>;
  close(): Promise<void>;
}

/** Where it sends, and keeps its records. */
export interface MailStores {
  readonly smtpUrl: string;
  readonly databaseUrl: string;
}

/** As ours has it. */
export function smtpPool(url: string) {
  return createTransport({ pool: true, maxConnections: 2, maxMessages: 100, url });
}
