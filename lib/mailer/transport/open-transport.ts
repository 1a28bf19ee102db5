import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import { InvalidMailError } from '../definition/errors';
import type { Transport } from './transport';

/** Number of mails that MAIL_DELIVERY=test keeps, since such a tree may run for long. */
const MAX_KEPT = 1000;

/**
 * Opens the transport that MAIL_DELIVERY names. Its module is loaded only then: many processes send no mail.
 * @throws InvalidMailError for `smtp` without SMTP_URL.
 */
export function openTransport({ delivery, smtpUrl, dir }: Config['mail'], events: Events): Transport {
  if (delivery === 'smtp') {
    if (smtpUrl === null) throw new InvalidMailError('SMTP_URL is not set: set it, or choose another MAIL_DELIVERY');
    const { SmtpTransport } = require('./smtp') as typeof import('./smtp');
    return new SmtpTransport(smtpUrl);
  }
  const local = require('./local-transports') as typeof import('./local-transports');
  if (delivery === 'file') return new local.FileTransport(dir);
  return delivery === 'log' ? new local.LogTransport(events) : new local.TestTransport(MAX_KEPT);
}
