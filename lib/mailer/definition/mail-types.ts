import type { MailDelivery as DeliveryMethod } from '../../core/config';
import type { Translate } from '../../core/i18n';
export interface Mailbox {
  /** Empty when there is none. */
  readonly name: string;
  readonly address: string;
}

/**
 * `ada@example.com`, `Ada <ada@example.com>` (several separated by commas), or an object, whose address is not parsed.
 */
export type Address = string | { readonly name?: string | null | undefined; readonly address: string };

export type Addresses = Address | readonly Address[];

export type MailHeaders = Readonly<Record<string, string>>;

/**
 * Text, bytes, or a file that is read when the mail is sent; a relative path starts at the working directory of the
 * process. Never pass on an object from a request as it is: it could name any file.
 */
export type AttachmentContent = string | Uint8Array | { readonly path: string };

export interface AttachmentOptions {
  /** Media type, such as `application/pdf`. Default: derived from the extension of the name. */
  readonly type?: string | undefined;
}

/** One entry of `mail({ attachments })`. */
export interface AttachmentOption extends AttachmentOptions {
  readonly name: string;
  readonly content: AttachmentContent;
  /** true: shown inside the HTML, which refers to it by `cid(name)`. Default false. */
  readonly inline?: boolean | undefined;
}

/** An attachment with its content loaded. */
export interface MailAttachment {
  readonly name: string;
  readonly content: Buffer;
  readonly type?: string;
  /** Content id of an inline attachment, which its `cid:` URL names. */
  readonly cid?: string;
}

/** A complete mail, as every transport accepts it. */
export interface OutgoingMessage {
  /** In angle brackets. The same for every retry of a mail, so that the receiving side can recognise a duplicate. */
  readonly messageId: string;
  readonly date: Date;
  readonly from: Mailbox;
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly bcc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly html?: string;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly attachments?: readonly MailAttachment[];
  /** The recipients to send to, when an earlier run has settled the others. Default: all. */
  readonly envelopeTo?: readonly string[];
}

/** A recipient that the server refused. */
export interface Refusal {
  readonly address: string;
  /** The server's answer, such as `550 5.1.1 no such user`. */
  readonly answer: string;
  /** false: the server may accept the mail at a retry (4xx). Default true. */
  readonly permanent?: boolean;
}

export interface Receipt {
  readonly messageId: string;
  /** The server's answer; the path of the file, with MAIL_DELIVERY=file. */
  readonly response?: string;
  /** Recipients that the server refused while it accepted the mail for others. */
  readonly refused?: readonly Refusal[];
}

/** Folder below `layouts/` that wraps each part, or false for none; an object sets the two parts apart. */
export type Layout = string | false | { readonly html: string | false; readonly text: string | false };

/** Input of a renderer: everything that the parts of one mail are made from. */
export interface RenderRequest {
  /** Folder below the templates, such as `user_mailer/welcome`; it holds `html.ejs`, `text.ejs` or both. */
  readonly template: string;
  readonly layout: Layout;
  readonly locale: string;
  readonly t: Translate;
  readonly subject: string;
  /** Override every name that the renderer itself offers to templates. */
  readonly locals: Readonly<Record<string, unknown>>;
  /** Functions that the mailer offers to templates: `urlFor(path, query)`, `cid(name)`. Locals override them. */
  readonly helpers?: Readonly<Record<string, unknown>>;
}

export interface Parts {
  readonly html?: string;
  /** Derived from the HTML when there is no `text.ejs`. */
  readonly text: string;
}

/** Output of the app's own renderer: HTML, text or both. Without text, the text is derived from the HTML. */
export interface RenderedParts {
  readonly html?: string | undefined;
  readonly text?: string | undefined;
}

/**
 * Renders mails in the app's own way (mjml, react-email); the `render` of `mailSetup`.
 * @param standard renders with the templates, for mails that this renderer leaves alone.
 */
export type Render = (
  request: RenderRequest,
  standard: () => Promise<Parts>,
) => RenderedParts | Parts | Promise<RenderedParts | Parts>;

/** The options an action passes to `this.mail()`. Those left out come from the mailer's defaults. */
export interface MailOptions {
  readonly to?: Addresses;
  readonly cc?: Addresses;
  readonly bcc?: Addresses;
  /** Default: the mailer's `defaults.from`, else MAIL_FROM. */
  readonly from?: Addresses;
  readonly replyTo?: Addresses;
  /**
   * Default: the mailer's `defaults.subject`, else the text `<scope>.<action>.subject`, else the action's
   * name in words.
   */
  readonly subject?: string;
  /** Default: the locale of the current request or job, else DEFAULT_LOCALE, which also replaces an unknown one. */
  readonly locale?: string | undefined;
  /** Variables of the templates and of the subject's text. */
  readonly locals?: Readonly<Record<string, unknown>>;
  readonly headers?: MailHeaders;
  /** Added to those of `attach` and `inline`. */
  readonly attachments?: readonly AttachmentOption[];
  /** Folder below the templates. Default `<mailer>/<action>`, such as `user_mailer/welcome`. */
  readonly template?: string;
  /** Folder below `layouts/`, or false for none; or `{ html, text }`. Default: the mailer's `layout`. */
  readonly layout?: Layout;
  /** Default: the method that MAIL_DELIVERY names. */
  readonly delivery?: DeliveryMethod;
}

/** Argument of a default that is a function. */
export interface MailAtHand {
  readonly action: string;
  /** The params that were given to `with()`. */
  readonly params: Readonly<Record<string, unknown>>;
}

type Lazy<T> = T | ((mail: MailAtHand) => T);

/** Defaults of all mails of a mailer. A function is called for every mail. Subclasses inherit those they do not set. */
export interface MailDefaults {
  readonly from?: Lazy<Addresses>;
  readonly to?: Lazy<Addresses>;
  readonly replyTo?: Lazy<Addresses>;
  readonly cc?: Lazy<Addresses>;
  readonly bcc?: Lazy<Addresses>;
  readonly subject?: Lazy<string>;
  /** Merged with those of parent classes and of the mail, name by name. */
  readonly headers?: Lazy<MailHeaders>;
}

type QueryValue = string | number | boolean | null | undefined;

export type UrlQuery = Readonly<Record<string, QueryValue | readonly QueryValue[]>>;

/** `urlFor('/orders/7', { from: 'mail' })` → `https://shop.example/orders/7?from=mail`. */
export type UrlFor = (path: string, query?: UrlQuery) => string;

/** Identifies a mail across the runs of its job. */
export interface IdempotencyKey {
  readonly key: string;
  /**
   * Proposed for a mail that has none yet: the delivery record keeps the Message-ID of the first claim, so that the
   * receiving side can recognise a duplicate. It is random and not derived from the key, which covers the Bcc
   * recipients: everybody who gets the mail could test guesses at them.
   */
  readonly messageId: string;
}
