import { currentContext } from '../../core/execution-context';
import type { I18n, Translate } from '../../core/i18n';
import { localesOrShipped, matchLocale } from '../../core/locales';
import { InvalidMailError, MissingTextError } from '../definition/errors';
import type { DeliveryOptions, Layout, Mailbox, MailHeaders, MailOptions } from '../definition/mail-types';
import type { ActionCall } from '../definition/mailer-class';
import { checkedHeaders, checkedSubject, mailboxes, mergedHeaders } from './headers';
import type { Attachments } from './mail';
import { type Mail, resolveDefaults } from './mail';

/** A mail before its parts are rendered: everything is known and checked except the bodies. */
export interface Draft {
  /** Class name of the mailer, such as `UserMailer`. */
  readonly mailer: string;
  readonly action: string;
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly headers: MailHeaders;
  /** The bodies that the action gave in place of a template. */
  readonly bodies: Pick<MailOptions, 'html' | 'text'>;
  readonly template: string;
  readonly layout: Layout;
  readonly locals: Readonly<Record<string, unknown>>;
  readonly texts: MailTexts;
  readonly attachments: Attachments;
  /** undefined: it goes by MAIL_DELIVERY. */
  readonly delivery: DeliveryOptions | undefined;
}

interface DraftSettings {
  readonly from: string;
  readonly defaultLocale: string;
  readonly i18n: I18n;
}

/**
 * Combines the options of the mail, the defaults of its mailer and the settings of the process.
 * @throws InvalidMailError without exactly one sender, without a recipient, or for an invalid header.
 */
export function createDraft(message: ActionCall, mail: Mail, settings: DraftSettings): Draft {
  const { mailer, action, title } = message;
  const { options } = mail;
  const defaults = resolveDefaults(mailer, { action, params: message.params as Readonly<Record<string, unknown>> });
  const boxes = (field: 'to' | 'cc' | 'bcc' | 'replyTo') => mailboxes(field, options[field] ?? defaults[field]);

  const [from, ...others] = mailboxes('from', options.from ?? defaults.from ?? settings.from);
  if (!from || others.length > 0) throw new InvalidMailError(`${title} needs one sender in from`);
  const to = boxes('to');
  const cc = boxes('cc');
  const bcc = boxes('bcc');
  if (to.length + cc.length + bcc.length === 0) {
    throw new InvalidMailError(`${title} has no recipient: set to, cc or bcc, or build no mail`);
  }

  const owner = findOwner(mailer, action);
  const name = underscore(owner.name);
  const locale = chooseLocale([options.locale, currentContext().locale], settings);
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
    bodies: options,
    template: options.template ?? `${name}/${underscore(action)}`,
    layout: options.layout ?? mailer.layout,
    locals,
    texts,
    attachments: mail.attachments,
    delivery: options.delivery ?? defaults.delivery,
  };
}

/** The class that declares the method, so that an inherited action keeps its templates and texts. */
export function findOwner(mailer: ActionCall['mailer'], action: string): { readonly name: string } {
  for (let at: unknown = mailer; typeof at === 'function'; at = Object.getPrototypeOf(at)) {
    if (at.prototype && Object.hasOwn(at.prototype, action)) return at;
  }
  return mailer;
}

/** Returns what the app has for the first candidate that is set (`ko` for `ko-KR`), else the default locale. */
function chooseLocale(
  candidates: readonly (string | undefined)[],
  { i18n, defaultLocale }: Pick<DraftSettings, 'i18n' | 'defaultLocale'>,
): string {
  const requested = candidates.find((candidate) => candidate !== undefined && candidate !== '');
  if (requested === undefined) return defaultLocale;
  return matchLocale(requested, [...localesOrShipped(i18n.locales), defaultLocale]) ?? defaultLocale;
}

/**
 * The texts of one action in one locale. The locale is fixed, so that mails rendered at once cannot disturb each other.
 */
export class MailTexts {
  private readonly lookUp: Translate;
  private readonly prefix: string;

  constructor(
    private readonly i18n: I18n,
    readonly locale: string,
    scope: string,
    private readonly action: string,
  ) {
    this.lookUp = i18n.in(locale);
    this.prefix = `${scope}.${underscore(action)}`;
  }

  /**
   * Looks a text up; `.title` is short for `<scope>.<action>.title`.
   * @throws MissingTextError rather than show a key to the reader.
   */
  readonly t: Translate = (key, values) => {
    const full = key.startsWith('.') ? this.prefix + key : key;
    const text = this.lookUp(full, values && asOptions(values));
    if (text === full) throw new MissingTextError(`no locale file has the text ${full} (locale ${this.locale})`);
    return text;
  };

  /** The text `<scope>.<action>.subject`; if there is none, the action's name in words. */
  subject(values: Readonly<Record<string, unknown>>): string {
    return this.i18n.has(`${this.prefix}.subject`, this.locale) ? this.t('.subject', values) : humanise(this.action);
  }
}

/**
 * `replace` keeps a value whose name is also an option of i18next (`lng`, `context`) from being taken for that option.
 */
function asOptions(values: Readonly<Record<string, unknown>>) {
  const { count } = values;
  return { replace: values, ...(typeof count === 'number' ? { count } : {}) };
}

/** `UserMailer` → `user_mailer`, `passwordReset` → `password_reset`. Names template folders and keys of texts. */
export function underscore(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])|([A-Z])(?=[A-Z][a-z])/g, '$1$3_$2').toLowerCase();
}

/** `passwordReset` → `Password reset`. The subject when neither the mail nor a locale file has one. */
export function humanise(name: string): string {
  const words = underscore(name).replaceAll('_', ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
