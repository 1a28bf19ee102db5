import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import { FileTransport } from './file';
import { LogTransport } from './log';
import { SmtpTransport } from './smtp';
import { TestTransport } from './test';
import type { Transport } from './transport';

/** The transport that MAIL_DELIVERY names. Connects to nothing yet. */
export function createMailTransport(mail: Config['mail'], events: Events): Transport {
  switch (mail.delivery) {
    case 'smtp':
      if (mail.smtpUrl === null)
        throw new Error('MAIL_DELIVERY is smtp without SMTP_URL: the settings were not checked');
      return new SmtpTransport(mail.smtpUrl);
    case 'file':
      return new FileTransport(mail.dir);
    case 'log':
      return new LogTransport(events);
    case 'test':
      return new TestTransport();
  }
}
