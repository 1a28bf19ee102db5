import type { MailDelivery as DeliveryMethod } from '../core/config';
import { type Addresses, mailboxes } from './address';
import { type AttachmentOption, Attachments } from './attachment';
import { checkedHeaders, checkedSubject, type MailHeaders } from './headers';
import type { Layout } from './render-request';

export type { DeliveryMethod };

/** What an action says of the mail it builds. Whatever is left out comes from the mailer's defaults. */
export interface MailOptions {
  readonly to?: Addresses;
  readonly cc?: Addresses;
  readonly bcc?: Addresses;
  /** Default: the mailer's `defaults.from`, else MAIL_FROM. */
  readonly from?: Addresses;
  readonly replyTo?: Addresses;
  /** Default: the mailer's `defaults.subject`, else the text `<scope>.<action>.subject`, else the action's name in words. */
  readonly subject?: string;
  /** Default: the locale of the request or job at hand, else DEFAULT_LOCALE. An unknown one counts as the default. */
  readonly locale?: string | undefined;
  /** What the templates and the subject's text see by name. */
  readonly locals?: Readonly<Record<string, unknown>>;
  readonly headers?: MailHeaders;
  /** Beside those of `attach` and `inline`. */
  readonly attachments?: readonly AttachmentOption[];
  /** Folder below the templates. Default `<mailer>/<action>`, such as `user_mailer/welcome`. */
  readonly template?: string;
  /** Folder below `layouts/`, or false for none; or `{ html, text }`. Default: the mailer's `layout`. */
  readonly layout?: Layout;
  /** Default: MAIL_DELIVERY. */
  readonly delivery?: DeliveryMethod;
}

/** A mail that an action has built. Made by `this.mail()` inside the action. */
export class Mail {
  private readonly own = new Attachments();

  /** @throws InvalidMailError for an address that no mail server takes, a line break in a header, a bad attachment. */
  constructor(
    readonly options: MailOptions,
    private readonly attached: Attachments = new Attachments(),
  ) {
    for (const field of ['from', 'to', 'cc', 'bcc', 'replyTo'] as const) mailboxes(field, options[field]);
    if (options.subject !== undefined) checkedSubject(options.subject);
    checkedHeaders(options.headers ?? {});
    this.own.add(options.attachments ?? []);
  }

  /** Those of `attach` and `inline`, until now, and its own. */
  get attachments(): Attachments {
    return this.attached.and(this.own);
  }
}

/** What an action may return; nothing means that no mail is sent. */
export type ActionResult = Mail | undefined | Promise<Mail | undefined>;

/** What a default that is a function is told of the mail at hand. */
export interface MailAtHand {
  readonly action: string;
  /** As `with()` gave them. */
  readonly params: Readonly<Record<string, unknown>>;
}

type Lazy<T> = T | ((mail: MailAtHand) => T);

/** What all mails of a mailer share; a function is asked anew for every mail. Subclasses add to their parent's. */
export interface MailDefaults {
  readonly from?: Lazy<Addresses>;
  readonly to?: Lazy<Addresses>;
  readonly replyTo?: Lazy<Addresses>;
  readonly cc?: Lazy<Addresses>;
  readonly bcc?: Lazy<Addresses>;
  readonly subject?: Lazy<string>;
  /** Add up, name by name. */
  readonly headers?: Lazy<MailHeaders>;
}
