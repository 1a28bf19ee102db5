import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import { InvalidMailError } from '../errors';
import { FileTransport } from './file';
import { LogTransport } from './log';
import { SmtpTransport } from './smtp';
import { TestTransport } from './test';
import type { Transport } from './transport';

/** Of a tree with MAIL_DELIVERY=test, which may run for long. */
const KEPT = 1000;

/** The transport that MAIL_DELIVERY, or the mail, names. Connects to nothing yet. @throws InvalidMailError */
export function createMailTransport(mail: Config['mail'], events: Events): Transport {
  switch (mail.delivery) {
    case 'smtp':
      if (mail.smtpUrl === null)
        throw new InvalidMailError(
          "a mail asks for delivery 'smtp', but SMTP_URL is not set: set it, or choose another",
        );
      return new SmtpTransport(mail.smtpUrl);
    case 'file':
      return new FileTransport(mail.dir);
    case 'log':
      return new LogTransport(events);
    case 'test':
      return new TestTransport(KEPT);
    default:
      throw new InvalidMailError(
        `delivery: ${JSON.stringify(mail.delivery satisfies never)} is no way to deliver; there are smtp, file, log and test`,
      );
  }
}
