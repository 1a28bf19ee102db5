import { createTransport } from 'nodemailer';
import SmtpPool from 'nodemailer/lib/smtp-pool';
import { mustUpgrade, withTlsAdvice } from '../../core/tls';
import { withTimeout } from '../../support/deadline';
import { toError } from '../../support/to-error';
import type { DeliveryMethod } from '../definition/delivery-method';
import { PermanentDeliveryError } from '../definition/errors';
import type { OutgoingMessage, Receipt, Refusal } from '../definition/mail-types';
import { mimeOptions } from './transport';

/** Limit of a whole delivery: below the lease of a delivery record, and below SHUTDOWN_TIMEOUT. */
const SEND_TIMEOUT_MS = 20_000;

export interface SmtpTimeouts {
  /** Limit of a whole delivery, ms. Default 20,000. */
  readonly sendMs?: number;
  /**
   * Limit of the server's silence, ms. Default 20,000. A server may need long to accept a message (RFC 5321, 4.5.3.2.6), and
   * giving up before its answer means sending the mail again.
   */
  readonly socketMs?: number;
}

/**
 * Sends by SMTP over a pool of at most two connections. `smtps://` starts with TLS; `smtp://` upgrades to TLS when the
 * server offers it, and requires it when a password would otherwise go in the clear. The URL may carry options of
 * nodemailer, such as `?requireTLS=false` or `?tls.rejectUnauthorized=false`.
 */
export class SmtpTransport implements DeliveryMethod {
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
      // nodemailer requeues only a send that broke before any byte of the message, as on a stale pooled connection.
      maxRequeues: 1,
      dnsTimeout: 5000,
      connectionTimeout: 10_000,
      greetingTimeout: 10_000,
      socketTimeout: timeouts.socketMs ?? SEND_TIMEOUT_MS,
      ...(mustUpgrade(url) ? { requireTLS: true } : {}),
      url,
    });
    this.pool = createTransport(this.smtp);
  }

  async send(message: OutgoingMessage): Promise<Receipt> {
    const signal = AbortSignal.timeout(this.sendMs);
    try {
      const info = await this.pool.sendMail({ ...mimeOptions(message), signal });
      const refused = refusals(info);
      return { messageId: message.messageId, response: info.response, ...(refused.length > 0 ? { refused } : {}) };
    } catch (thrown) {
      const error = toError(thrown);
      if (signal.aborted)
        throw new Error(`the SMTP server did not accept the mail within ${this.sendMs} ms`, { cause: error });
      if (isPermanent(error)) throw new PermanentDeliveryError(error.response, error.responseCode, error);
      throw withTlsAdvice(error, 'SMTP');
    }
  }

  /** Connects and signs in as a delivery does, and sends nothing. @throws Error that says why it cannot, within `sendMs`. */
  async verify(): Promise<void> {
    const late = () => new Error(`no answer within ${this.sendMs} ms`);
    await withTimeout(this.smtp.verify(), this.sendMs, late).catch((thrown: unknown) => {
      throw withTlsAdvice(toError(thrown), 'SMTP');
    });
  }

  async close(options?: { readonly force: boolean }): Promise<void> {
    this.pool.close(options);
  }
}

interface SmtpError extends Error {
  readonly responseCode: number;
  readonly response: string;
}

/** Replies about our login, not about the mail: correcting SMTP_URL cures them, so the job must be retried. */
const ABOUT_LOGIN = new Set([530, 534, 535, 538]);

/** An enhanced status code (RFC 3463) after the reply code. */
const ENHANCED = /^\d{3}[ -](\d)\.(\d{1,3})\.(\d{1,3})\b/;
/** Wordings that servers use for limits that are temporary. */
const LIMIT_WORDS =
  /\bquota\b|exceeded storage|mailbox (is )?full|\btoo many (messages|mails|e-?mails|connections)|\b(rate|sending|hourly|daily) limit|\b(unusual|sending|message) rate\b|throttl|try again later/i;

/**
 * Returns true for a 5xx that reports a temporary limit: by its enhanced code or, where that is unspecific,
 * its wording.
 */
function isPassing(response: string): boolean {
  const [, kind, subject, detail] = ENHANCED.exec(response) ?? [];
  if (kind === '4') return true;
  const code = `${subject}.${detail}`;
  if (code === '2.2' || code === '4.5') return true;
  const isOpen = kind === undefined || subject === '7' || code === '0.0';
  return isOpen && LIMIT_WORDS.test(response) && !/\bsize\b/i.test(response);
}

/**
 * Returns true when the server refused this mail for good: a 5xx to MAIL, RCPT or DATA. A 5xx greeting or a failed
 * login is about the state of the server or of our settings; such errors pass, and so do exceeded quotas and rates.
 */
export function isPermanent(error: Error): error is SmtpError {
  const { code, responseCode, response } = error as Partial<SmtpError> & { readonly code?: unknown };
  return (
    (code === 'EENVELOPE' || code === 'EMESSAGE') &&
    typeof response === 'string' &&
    typeof responseCode === 'number' &&
    responseCode >= 500 &&
    responseCode < 600 &&
    !ABOUT_LOGIN.has(responseCode) &&
    !isPassing(response)
  );
}

/** Returns the recipients that were refused while others were accepted. */
export function refusals(info: {
  readonly rejectedErrors?:
    | readonly (Error & {
        recipient?: string | undefined;
        response?: string | undefined;
        responseCode?: number | undefined;
      })[]
    | undefined;
}): readonly Refusal[] {
  return (info.rejectedErrors ?? []).map((error) => ({
    address: error.recipient ?? 'unknown',
    answer: error.response ?? error.message,
    permanent: error.responseCode === undefined || (error.responseCode >= 500 && !isPassing(error.response ?? '')),
  }));
}
