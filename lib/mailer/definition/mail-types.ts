import type { MailDelivery } from '../../core/config';
import type { Translate } from '../../core/i18n';

/** One address of a finished mail. */
export interface Mailbox {
  /** Empty when there is none. */
  readonly name: string;
  /** The part in angle brackets, such as `ada@example.com`. */
  readonly address: string;
}

/**
 * `ada@example.com`, `Ada <ada@example.com>` (several separated by commas), or an object, whose address is not parsed.
 */
export type Address =
  | string
  | {
      /** The name for the reader; none: the address alone is shown. */
      readonly name?: string | null | undefined;
      /** The address itself, such as `ada@example.com`. */
      readonly address: string;
    };

/** One address or several. */
export type Addresses = Address | readonly Address[];

/** Headers by name. A line break in a value and a name that another option sets are refused. */
export type MailHeaders = Readonly<Record<string, string>>;

/**
 * Text, bytes, or a file that is read when the mail is sent; a relative path starts at the working directory of the
 * process. Never pass on an object from a request as it is: it could name any file.
 */
export type AttachmentContent =
  | string
  | Uint8Array
  | {
      /** Path of the file. If it cannot be read at that time, the delivery fails with an AttachmentError. */
      readonly path: string;
    };

/** Options of `attach` and `inline`. */
export interface AttachmentOptions {
  /** Media type, such as `application/pdf`. Default: derived from the extension of the name. */
  readonly type?: string | undefined;
}

/** An attachment with its content loaded. */
export interface MailAttachment {
  /** The file's name for the reader. */
  readonly name: string;
  /** The bytes of the file. */
  readonly content: Buffer;
  /** Media type; undefined: derived from the name's extension. */
  readonly type?: string;
  /** Content id of an inline attachment, which its `cid:` URL names. */
  readonly cid?: string;
}

/** A complete mail, as every transport accepts it. */
export interface OutgoingMessage {
  /** In angle brackets. The same for every retry of a mail, so that the receiving side can recognise a duplicate. */
  readonly messageId: string;
  /** Time at which the mail was built, for its header. */
  readonly date: Date;
  /** The sender. */
  readonly from: Mailbox;
  /** The recipients, none of whom is hidden from the others. */
  readonly to: readonly Mailbox[];
  /** Recipients of a copy. */
  readonly cc: readonly Mailbox[];
  /** Recipients whom no other one sees. */
  readonly bcc: readonly Mailbox[];
  /** The addresses that replies go to; empty: to the sender. */
  readonly replyTo: readonly Mailbox[];
  /** One line of text. */
  readonly subject: string;
  /** The HTML part; undefined: the mail is text alone. */
  readonly html?: string;
  /** The text part, which every mail has. */
  readonly text: string;
  /** The app's own headers by name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Files and inline images with their content; undefined: none. */
  readonly attachments?: readonly MailAttachment[];
  /** The recipients to send to, when an earlier run has settled the others. Default: all. */
  readonly envelopeTo?: readonly string[];
}

/** A message as an interceptor returns it; its addresses may be in any form that `mail()` accepts. */
export interface InterceptedMessage extends Omit<OutgoingMessage, 'from' | 'to' | 'cc' | 'bcc' | 'replyTo'> {
  /** The sender. */
  readonly from: Addresses;
  /** The recipients, none of whom is hidden from the others. */
  readonly to: Addresses;
  /** Recipients of a copy. */
  readonly cc: Addresses;
  /** Recipients whom no other one sees. */
  readonly bcc: Addresses;
  /** The addresses that replies go to; none: to the sender. */
  readonly replyTo: Addresses;
}

/** A recipient that the server refused. */
export interface Refusal {
  /** The address of the recipient. */
  readonly address: string;
  /** The server's answer, such as `550 5.1.1 no such user`. */
  readonly answer: string;
  /** false: the server may accept the mail at a retry (4xx). Default true. */
  readonly permanent?: boolean;
}

/** The answer of a delivery that sent the mail. */
export interface Receipt {
  /** The Message-ID of the mail, in angle brackets. */
  readonly messageId: string;
  /** The server's answer; the path of the file, with MAIL_DELIVERY=file. */
  readonly response?: string;
  /** Recipients that the server refused while it accepted the mail for others. */
  readonly refused?: readonly Refusal[];
}

/** Folder below `layouts/` whose `html.ejs` and `text.ejs` wrap the parts, or false for none. */
export type Layout = string | false;

/** Input of a renderer: everything that the parts of one mail are made from. */
export interface RenderRequest {
  /** Folder below the templates, such as `user_mailer/welcome`; it holds `html.ejs`, `text.ejs` or both. */
  readonly template: string;
  /** Folder below `layouts/` that wraps each part, or false for none. */
  readonly layout: Layout;
  /** The locale in which the mail is written. */
  readonly locale: string;
  /** Looks up a text in that locale. */
  readonly t: Translate;
  /** The subject of the mail, for templates that show it. */
  readonly subject: string;
  /** Override every name that the renderer itself offers to templates. */
  readonly locals: Readonly<Record<string, unknown>>;
  /** For templates: `urlFor(path, query)`, `cid(name)`, `assetUrl(path)`, `image(source, attributes)`. Locals override them. */
  readonly helpers?: Readonly<Record<string, unknown>>;
}

/** The two forms of a rendered mail; a reader's program shows one of them. */
export interface Parts {
  /** The HTML part; undefined: the mail is text alone. */
  readonly html?: string;
  /** Derived from the HTML when there is no `text.ejs`. */
  readonly text: string;
}

/** Output of the app's own renderer: HTML, text or both. Without text, the text is derived from the HTML. */
export interface RenderedParts {
  /** The HTML part; undefined: the mail is text alone. */
  readonly html?: string | undefined;
  /** The text part; undefined: it is derived from the HTML. */
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

/** How a mail goes out, in place of MAIL_DELIVERY and its settings. Where that is file, log or test, all mails stay there. */
export interface DeliveryOptions {
  /** Default: MAIL_DELIVERY. */
  readonly method?: MailDelivery;
  /**
   * Of Catamount's methods: settings by their names, such as SMTP_URL or POSTMARK_MESSAGE_STREAM. The tree's apply for those that
   * are left out, or are null. Of a method of the app: whatever its function takes.
   */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** The options an action passes to `this.mail()`. Those left out come from the mailer's defaults. */
export interface MailOptions {
  /** The recipients. A mail without any, Cc and Bcc included, is an InvalidMailError. */
  readonly to?: Addresses;
  /** Recipients of a copy. */
  readonly cc?: Addresses;
  /** Recipients whom no other one sees. */
  readonly bcc?: Addresses;
  /** Default: the mailer's `defaults.from`, else MAIL_FROM. */
  readonly from?: Addresses;
  /** The addresses that replies go to. Default: the mailer's, else the sender. */
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
  /** Further headers by name; they override those of the mailer's defaults. */
  readonly headers?: MailHeaders;
  /**
   * The whole HTML, in place of a template: no layout wraps it, and its styles stay as they are. Default: the template's. With
   * `template` or `layout` it is an InvalidMailError.
   */
  readonly html?: string;
  /** The whole text, in place of a template. Default, with `html`: derived from it. Under the same conditions as `html`. */
  readonly text?: string;
  /** Folder below the templates. Default `<mailer>/<action>`, such as `user_mailer/welcome`. */
  readonly template?: string;
  /** Folder below `layouts/`, or false for none. Default: the mailer's `layout`. */
  readonly layout?: Layout;
  /**
   * Another method, or other settings of it, such as a customer's own mail server. It is asked for anew in each run of the job, and
   * stored nowhere. Default: the mailer's `defaults.delivery`, else MAIL_DELIVERY.
   */
  readonly delivery?: DeliveryOptions | undefined;
}

/** Argument of a default that is a function. */
export interface MailAtHand {
  /** The name of the action that builds the mail. */
  readonly action: string;
  /** The params that were given to `with()`. */
  readonly params: Readonly<Record<string, unknown>>;
}

/** A default of a mailer's mails, or a function that returns it for each of them. */
export type MailDefault<T> = T | ((mail: MailAtHand) => T);

/** Defaults of all mails of a mailer. A function is called for every mail. Subclasses inherit those they do not set. */
export interface MailDefaults {
  /** The sender. Default: MAIL_FROM. */
  readonly from?: MailDefault<Addresses>;
  /** Recipients of mails that name none in `to`. */
  readonly to?: MailDefault<Addresses>;
  /** The addresses that replies go to. */
  readonly replyTo?: MailDefault<Addresses>;
  /** Recipients of a copy. */
  readonly cc?: MailDefault<Addresses>;
  /** Recipients whom no other one sees. */
  readonly bcc?: MailDefault<Addresses>;
  /** The subject. It has precedence over the text of the locale. */
  readonly subject?: MailDefault<string>;
  /** Merged with those of parent classes and of the mail, name by name. */
  readonly headers?: MailHeaders;
  /** How its mails go out. Default: by MAIL_DELIVERY. */
  readonly delivery?: MailDefault<DeliveryOptions | undefined>;
}

/** A value of a query; null and undefined leave the name out. */
export type QueryValue = string | number | boolean | null | undefined;

/** The query of a link by name; several values repeat the name. */
export type UrlQuery = Readonly<Record<string, QueryValue | readonly QueryValue[]>>;

/** `urlFor('/orders/7', { from: 'mail' })` → `https://shop.example/orders/7?from=mail`. */
export type UrlFor = (path: string, query?: UrlQuery) => string;

/** Identifies a mail across the runs of its job. */
export interface IdempotencyKey {
  readonly key: string;
  /**
   * The Message-ID for a mail that has none yet. The delivery record keeps that of the first claim, so that the receiving side
   * can recognise a duplicate. It is random and not derived from the key. The key covers the Bcc recipients, and everybody who
   * gets the mail could test guesses at them.
   */
  readonly messageId: string;
}
