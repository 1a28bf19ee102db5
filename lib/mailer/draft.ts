import { currentContext } from '../core/execution-context';
import type { I18n } from '../core/i18n';
import { type Mailbox, mailboxes } from './address';
import type { Attachments } from './attachment';
import { settledDefaults } from './defaults';
import { InvalidMailError } from './errors';
import { checkedHeaders, checkedSubject, type MailHeaders, mergedHeaders } from './headers';
import type { DeliveryMethod, Mail } from './mail';
import type { MailMessage } from './message';
import { underscore } from './naming';
import type { Layout } from './render-request';
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
  readonly headers: MailHeaders;
  readonly template: string;
  readonly layout: Layout;
  readonly locals: Readonly<Record<string, unknown>>;
  readonly texts: MailTexts;
  readonly attachments: Attachments;
  /** undefined: what MAIL_DELIVERY says. */
  readonly delivery: DeliveryMethod | undefined;
}

export interface DraftSettings {
  readonly from: string;
  readonly defaultLocale: string;
  readonly i18n: I18n;
}

/** @throws InvalidMailError without exactly one sender, without a recipient, or for a header that cannot stand. */
export function draftOf(message: MailMessage, mail: Mail, settings: DraftSettings): Draft {
  const { mailer, action, title } = message;
  const { options } = mail;
  const defaults = settledDefaults(mailer, { action, params: message.params as Readonly<Record<string, unknown>> });
  const boxes = (field: 'to' | 'cc' | 'bcc' | 'replyTo') => mailboxes(field, options[field] ?? defaults[field]);

  const [from, ...others] = mailboxes('from', options.from ?? defaults.from ?? settings.from);
  if (!from || others.length > 0) throw new InvalidMailError(`${title} needs one sender in from`);
  const to = boxes('to');
  const cc = boxes('cc');
  const bcc = boxes('bcc');
  if (to.length + cc.length + bcc.length === 0) {
    throw new InvalidMailError(`${title} has no recipient: set to, cc or bcc, or build no mail`);
  }

  const owner = ownerOf(mailer, action);
  const name = underscore(owner.name);
  const locale = chooseLocale([options.locale, currentContext().locale], settings.defaultLocale);
  const texts = new MailTexts(settings.i18n, locale, mailer.i18nScope ?? name, action);
  const locals = options.locals ?? {};
  const subject = checkedSubject(options.subject ?? defaults.subject ?? texts.subject(locals));
  return {
    mailer: mailer.name,
    action,
    from,
    to,
    cc,
    bcc,
    replyTo: boxes('replyTo'),
    subject,
    headers: checkedHeaders(mergedHeaders({ 'Content-Language': locale }, defaults.headers, options.headers)),
    template: options.template ?? `${name}/${underscore(action)}`,
    layout: options.layout ?? mailer.layout,
    locals,
    texts,
    attachments: mail.attachments,
    delivery: options.delivery,
  };
}

/** The class that has the method: an action that is inherited keeps its templates and texts. */
function ownerOf(mailer: MailMessage['mailer'], action: string): { readonly name: string } {
  for (let at: unknown = mailer; typeof at === 'function'; at = Object.getPrototypeOf(at)) {
    if (at.prototype && Object.hasOwn(at.prototype, action)) return at;
  }
  return mailer;
}
