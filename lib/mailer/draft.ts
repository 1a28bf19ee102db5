import { currentContext } from '../core/execution-context';
import type { I18n } from '../core/i18n';
import { type Addresses, type Mailbox, mailboxes } from './address';
import { inheritedDefaults, settled } from './defaults';
import { InvalidMailError } from './errors';
import { checkedHeaders, refuseLineBreak } from './headers';
import type { Mail } from './mail';
import type { MailMessage } from './message';
import { underscore } from './naming';
import { chooseLocale, MailTexts } from './texts';

/** A mail before its parts are rendered: everything known and checked except the bodies. */
export interface Draft {
  /** Class of the mailer, such as `UserMailer`. */
  readonly mailer: string;
  readonly action: string;
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly template: string;
  readonly layout: string | false;
  readonly locals: Readonly<Record<string, unknown>>;
  readonly texts: MailTexts;
}

export interface DraftSettings {
  readonly from: string;
  readonly defaultLocale: string;
  readonly i18n: I18n;
}

/** @throws InvalidMailError without exactly one sender, without a recipient, or for a header that cannot stand. */
export function draftOf(message: MailMessage, mail: Mail, settings: DraftSettings): Draft {
  const { mailer, action } = message;
  const { options } = mail;
  const defaults = inheritedDefaults(mailer);
  const boxes = (field: 'to' | 'cc' | 'bcc' | 'replyTo', otherwise?: Addresses) =>
    mailboxes(field, options[field] ?? otherwise);

  const [from, ...others] = mailboxes('from', options.from ?? settled(defaults.from) ?? settings.from);
  if (!from || others.length > 0) throw new InvalidMailError(`${mailer.name}#${action} needs one sender in from`);
  const to = boxes('to');
  const cc = boxes('cc', settled(defaults.cc));
  const bcc = boxes('bcc', settled(defaults.bcc));
  if (to.length + cc.length + bcc.length === 0) {
    throw new InvalidMailError(`${mailer.name}#${action} has no recipient: set to, cc or bcc, or build no mail`);
  }

  const name = underscore(mailer.name);
  const locale = chooseLocale([options.locale, currentContext().locale], settings.defaultLocale);
  const texts = new MailTexts(settings.i18n, locale, mailer.i18nScope ?? name, action);
  const locals = options.locals ?? {};
  const subject = (options.subject ?? texts.subject(locals)).trim();
  refuseLineBreak('subject', subject);
  return {
    mailer: mailer.name,
    action,
    from,
    to,
    cc,
    bcc,
    replyTo: boxes('replyTo', settled(defaults.replyTo)),
    subject,
    headers: checkedHeaders({ 'Content-Language': locale, ...defaults.headers, ...options.headers }),
    template: options.template ?? `${name}/${underscore(action)}`,
    layout: options.layout ?? mailer.layout,
    locals,
    texts,
  };
}
