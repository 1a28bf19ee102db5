import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import { DELIVERY_METHODS, isProvider } from '../../core/mail-settings';
import { didYouMean } from '../../support/did-you-mean';
import type { DeliveryMethod } from '../definition/delivery-method';
import type { DeliveryOptions } from '../definition/mail-types';
import type { MailSetup } from '../definition/setup';

/** Number of mails that MAIL_DELIVERY=test keeps, since such a tree may run for long. */
const MAX_KEPT = 1000;

/**
 * Opens the method that `mail` names. Its module is loaded only then: many processes send no mail.
 * @param own the app's methods. @param options for one of them.
 * @throws Error for a method that does not exist, or without the settings that it needs.
 */
export function openTransport(
  mail: Config['mail'],
  events: Events,
  own: MailSetup['deliveryMethods'] = {},
  options: DeliveryOptions['options'] = {},
): DeliveryMethod {
  const { delivery, dir } = mail;
  const open = Object.hasOwn(own, delivery) ? own[delivery] : undefined;
  if (open) return open(options);
  const mistake = unknownMethod(delivery, own);
  if (mistake !== undefined) throw new Error(mistake);
  if (delivery === 'file' || delivery === 'log' || delivery === 'test') {
    const local = require('./local-transports') as typeof import('./local-transports');
    if (delivery === 'file') return new local.FileTransport(dir);
    return delivery === 'log' ? new local.LogTransport(events) : new local.TestTransport(MAX_KEPT);
  }
  return openServer(mail);
}

/**
 * Opens a method that sends to a server.
 * @param limitMs limit of a whole delivery, ms. Default: that of the method.
 * @throws Error without the settings that it needs.
 */
export function openServer(
  { delivery, smtpUrl, keys = {}, apiUrl }: Pick<Config['mail'], 'delivery' | 'smtpUrl' | 'keys' | 'apiUrl'>,
  limitMs?: number,
): DeliveryMethod {
  const need = (name: string, value = keys[name] ?? null) => {
    if (value === null) throw new Error(`${name} is not set: set it, or choose another MAIL_DELIVERY than ${delivery}`);
    return value;
  };
  if (delivery === 'sendmail') {
    const { SendmailTransport } = require('./sendmail') as typeof import('./sendmail');
    return new SendmailTransport(keys.SENDMAIL_PATH, limitMs);
  }
  if (!isProvider(delivery)) {
    const { SmtpTransport } = require('./smtp') as typeof import('./smtp');
    return new SmtpTransport(need('SMTP_URL', smtpUrl), limitMs === undefined ? {} : { sendMs: limitMs });
  }
  const { HttpApi } = require('./http-api') as typeof import('./http-api');
  const url = apiUrl?.replace(/\/+$/, '');
  const open = {
    resend: () => (require('./resend') as typeof import('./resend')).resend(need('RESEND_API_KEY'), url),
    postmark: () => {
      const { postmark } = require('./postmark') as typeof import('./postmark');
      return postmark(need('POSTMARK_API_TOKEN'), keys.POSTMARK_MESSAGE_STREAM, url);
    },
    ses: () => {
      const { ses } = require('./ses') as typeof import('./ses');
      const [accessKeyId, secretAccessKey] = [need('AWS_ACCESS_KEY_ID'), need('AWS_SECRET_ACCESS_KEY')];
      return ses(
        { accessKeyId, secretAccessKey, sessionToken: keys.AWS_SESSION_TOKEN, region: need('AWS_REGION') },
        url,
      );
    },
    mailgun: () => {
      const { mailgun } = require('./mailgun') as typeof import('./mailgun');
      return mailgun(need('MAILGUN_API_KEY'), need('MAILGUN_DOMAIN'), url);
    },
  };
  return new HttpApi(open[delivery](), limitMs);
}

/**
 * @param named where it is named, such as `MAIL_DELIVERY`.
 * @returns what is wrong with the name of a method that neither Catamount nor the app has; undefined for any other.
 */
export function unknownMethod(
  name: string,
  own: MailSetup['deliveryMethods'] = {},
  named = 'MAIL_DELIVERY',
): string | undefined {
  const all = [...DELIVERY_METHODS, ...Object.keys(own)];
  if (all.includes(name)) return undefined;
  const meant = didYouMean(name, all);
  const hint = meant === undefined ? '' : ` (did you mean ${meant}?)`;
  return `${named} is ${name}, but there is no such delivery method${hint}: choose one of ${all.join(', ')}`;
}
