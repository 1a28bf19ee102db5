import fs from 'node:fs/promises';
import { createTransport } from 'nodemailer';
import { withTimeout } from '../../support/deadline';
import { toError } from '../../support/to-error';
import type { DeliveryMethod } from '../definition/delivery-method';
import { PermanentDeliveryError } from '../definition/errors';
import type { OutgoingMessage, Receipt } from '../definition/mail-types';
import { mimeOptions, recipients } from './transport';

const PATH = '/usr/sbin/sendmail';
const SEND_TIMEOUT_MS = 20_000;
/** Exit codes (sysexits.h) about the mail: malformed, no such user, no such host. */
const ABOUT_THE_MAIL = [65, 67, 68];

/** Hands mails to the command `sendmail`, which Postfix, Exim and others have, and which queues them. */
export class SendmailTransport implements DeliveryMethod {
  readonly name = 'sendmail';
  private readonly sendmail;

  /** @param path of the command. Default: /usr/sbin/sendmail. @param sendMs how long it may take, ms. Default 20,000. */
  constructor(
    private readonly path = PATH,
    private readonly sendMs = SEND_TIMEOUT_MS,
  ) {
    this.sendmail = createTransport({ sendmail: true, newline: 'unix', path });
  }

  async send(message: OutgoingMessage): Promise<Receipt> {
    const late = () => new Error(`sendmail did not take the mail within ${this.sendMs} ms`);
    // No header names those in Bcc, since not every sendmail removes it.
    const options = mimeOptions({ ...message, bcc: [], envelopeTo: message.envelopeTo ?? recipients(message) });
    try {
      const { response } = await withTimeout(this.sendmail.sendMail(options), this.sendMs, late);
      return { messageId: message.messageId, response };
    } catch (thrown) {
      const error = toError(thrown);
      const code = Number(/exited with code (\d+)/.exec(error.message)?.[1]);
      if (ABOUT_THE_MAIL.includes(code)) throw new PermanentDeliveryError(error.message, code, error);
      throw error;
    }
  }

  async verify(): Promise<void> {
    await fs.access(this.path, fs.constants.X_OK);
  }
}
