import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerDataStream } from 'smtp-server';

export interface LoggedJob {
  readonly to: string;
  readonly messageId: string;
  readonly subject?: string;
  /** Time at which it was accepted, just before the reply, as `performance.now()`. */
  readonly at: number;
}

export interface ReceivedMail extends LoggedJob {
  /** Time of the DATA command, as `performance.now()`. Its client was alive then, since it waits for the reply. */
  readonly begunAt: number;
}

/** A real SMTP server for floods of mail. It records who got which mail, and keeps nothing else. */
export class MailLedger {
  readonly entries: ReceivedMail[] = [];
  private readonly server: SMTPServer;

  constructor() {
    this.server = new SMTPServer({
      authOptional: true,
      hideSTARTTLS: true,
      disabledCommands: ['STARTTLS', 'AUTH'],
      disableReverseLookup: true,
      logger: false,
      closeTimeout: 50,
      onData: (stream, session, done) => {
        const begunAt = performance.now();
        const to = session.envelope.rcptTo.map((recipient) => recipient.address).join();
        headersOf(stream).then((headers) => {
          const messageId = /^message-id:\s*(\S+)/im.exec(headers)?.[1] ?? '';
          const subject = /^subject:\s*(.+)/im.exec(headers)?.[1] ?? '';
          this.entries.push({ to, messageId, subject, begunAt, at: performance.now() });
          done();
        }, done);
      },
    });
    // Clients that are killed are expected here.
    this.server.on('error', () => undefined);
  }

  static async start(): Promise<MailLedger> {
    const ledger = new MailLedger();
    await new Promise<void>((resolve) => ledger.server.listen(0, '127.0.0.1', resolve));
    return ledger;
  }

  get url(): string {
    return `smtp://127.0.0.1:${(this.server.server.address() as AddressInfo).port}`;
  }

  byReceiver(): Map<string, ReceivedMail[]> {
    const mails = new Map<string, ReceivedMail[]>();
    for (const entry of this.entries) mails.set(entry.to, [...(mails.get(entry.to) ?? []), entry]);
    return mails;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}

/** Resolves at the end of the whole message. */
async function headersOf(stream: SMTPServerDataStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('latin1');
  return text.slice(0, text.indexOf('\r\n\r\n'));
}
