import { createTransport } from 'nodemailer';
import SmtpPool from 'nodemailer/lib/smtp-pool';
import { toError } from '../../core/errors';
import { withTlsAdvice } from '../../core/tls-advice';
import { mustUpgrade } from '../../core/tls-mode';
import { PermanentDeliveryError } from '../errors';
import { mimeOptions, recipients } from './mime';
import { isPermanent, refusals } from './smtp-answer';
import { insistOnUtf8, needingUtf8 } from './smtp-utf8';
import type { OutgoingMessage, Receipt, Transport } from './transport';

/** Longest whole delivery: below the time that a delivery record trusts a claim, and below SHUTDOWN_TIMEOUT. */
const SEND_TIMEOUT_MS = 20_000;

export interface SmtpTimeouts {
  /** Longest whole delivery, ms. Default 20,000. */
  readonly sendMs?: number;
  /** Longest silence of the server, ms. Default 10,000. */
  readonly socketMs?: number;
}

/**
 * SMTP over at most two kept connections. `smtps://` is TLS from the first byte; `smtp://` upgrades where the server
 * offers it, and must where it would otherwise send a password in the clear. Options of nodemailer may follow in the
 * URL, such as `?requireTLS=false` or `?tls.rejectUnauthorized=false`.
 */
export class SmtpTransport implements Transport {
  readonly name = 'smtp';
  private readonly sendMs: number;
  private readonly smtp: SmtpPool;
  private readonly pool;

  constructor(url: string, timeouts: SmtpTimeouts = {}) {
    this.sendMs = timeouts.sendMs ?? SEND_TIMEOUT_MS;
    this.smtp = new SmtpPool({
      pool: true,
      maxConnections: 2,
      maxMessages: 100,
      // nodemailer requeues only what broke before a byte of the message was sent, as on a kept connection gone stale.
      maxRequeues: 1,
      dnsTimeout: 5000,
      connectionTimeout: 10_000,
      greetingTimeout: 10_000,
      socketTimeout: timeouts.socketMs ?? 10_000,
      ...(mustUpgrade(url) ? { requireTLS: true } : {}),
      url,
    });
    this.pool = createTransport(this.smtp);
  }

  async send(message: OutgoingMessage): Promise<Receipt> {
    const signal = AbortSignal.timeout(this.sendMs);
    try {
      const raw = needingUtf8([message.from.address, ...(message.envelopeTo ?? recipients(message))]);
      if (raw.length > 0) await insistOnUtf8(raw, this.smtp.options);
      const info = await this.pool.sendMail({ ...mimeOptions(message), signal });
      const refused = refusals(info);
      return { messageId: message.messageId, response: info.response, ...(refused.length > 0 ? { refused } : {}) };
    } catch (thrown) {
      const error = toError(thrown);
      if (error instanceof PermanentDeliveryError) throw error;
      if (signal.aborted)
        throw new Error(`the SMTP server did not take the mail within ${this.sendMs} ms`, { cause: error });
      if (isPermanent(error)) throw new PermanentDeliveryError(error.response, error.responseCode, error);
      throw withTlsAdvice(error, 'SMTP');
    }
  }

  async close(options?: { readonly force: boolean }): Promise<void> {
    this.pool.close(options);
  }
}
