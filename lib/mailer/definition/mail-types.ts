import type { MailDelivery as DeliveryMethod } from '../../core/config';
import type { Translate } from '../../core/i18n';
export interface Mailbox {
  /** Empty for none. */
  readonly name: string;
  readonly address: string;
}

/** `ada@example.com`, `Ada <ada@example.com>` (several with commas), or an object, whose address is never parsed. */
export type Address = string | { readonly name?: string | null | undefined; readonly address: string };

export type Addresses = Address | readonly Address[];

export type MailHeaders = Readonly<Record<string, string>>;

/**
 * Text, bytes, or a file that is read when the mail is sent; a relative path is relative to where the process began. An
 * object that somebody else has sent is never to be passed on as it is: it may name a file.
 */
export type AttachmentContent = string | Uint8Array | { readonly path: string };

export interface AttachmentOptions {
  /** Such as `application/pdf`. Default: by the ending of the name. */
  readonly type?: string | undefined;
}

/** One entry of `mail({ attachments })`. */
export interface AttachmentOption extends AttachmentOptions {
  readonly name: string;
  readonly content: AttachmentContent;
  /** true: shown inside the HTML, which finds it by `cid(name)`. Default false. */
  readonly inline?: boolean | undefined;
}

/** An attachment as it goes out. */
export interface MailAttachment {
  readonly name: string;
  readonly content: Buffer;
  readonly type?: string;
  /** Of an inline one: what its `cid:` URL names. */
  readonly cid?: string;
}

/** A finished mail, as every transport takes it. */
export interface OutgoingMessage {
  /** In angle brackets. The same for every try at the same mail, so that a duplicate can be recognised. */
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
  /** Only these of its recipients get it, for the others have been answered before. Default: all. */
  readonly envelopeTo?: readonly string[];
}

/** A recipient that the server refused. */
export interface Refusal {
  readonly address: string;
  /** What the server said, such as `550 5.1.1 no such user`. */
  readonly answer: string;
  /** false: it may take the mail at the next try (4xx). Default true. */
  readonly permanent?: boolean;
}

export interface Receipt {
  readonly messageId: string;
  /** What the server answered, or where the mail lies. */
  readonly response?: string;
  /** Recipients that the server refused while it took the mail for others. */
  readonly refused?: readonly Refusal[];
}

/** Folder below `layouts/` that wraps each part, or false for none; or each of the two told apart. */
export type Layout = string | false | { readonly html: string | false; readonly text: string | false };

/** What becomes the parts of one mail. */
export interface RenderRequest {
  /** Folder below the templates, such as `user_mailer/welcome`; it holds `html.ejs`, `text.ejs` or both. */
  readonly template: string;
  readonly layout: Layout;
  readonly locale: string;
  readonly t: Translate;
  readonly subject: string;
  /** Win over every name that the renderer itself offers to templates. */
  readonly locals: Readonly<Record<string, unknown>>;
  /** Functions that the mailer offers to templates: `urlFor(path, query)`, `cid(name)`. Locals win over them. */
  readonly helpers?: Readonly<Record<string, unknown>>;
}

export interface Parts {
  readonly html?: string;
  /** Derived from the HTML when there is no `text.ejs`. */
  readonly text: string;
}

/** What a renderer of the app's own gives: HTML, text or both. Text is derived from the HTML when it is left out. */
export interface RenderedParts {
  readonly html?: string | undefined;
  readonly text?: string | undefined;
}

/**
 * Renders mails in the app's own way (mjml, react-email): `mailSetup`'s `render`.
 * @param standard renders with the templates as usual, for the mails that are not the app's own renderer's.
 */
export type Render = (
  request: RenderRequest,
  standard: () => Promise<Parts>,
) => RenderedParts | Parts | Promise<RenderedParts | Parts>;

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

type QueryValue = string | number | boolean | null | undefined;

export type UrlQuery = Readonly<Record<string, QueryValue | readonly QueryValue[]>>;

/** `urlFor('/orders/7', { from: 'mail' })` → `https://shop.example/orders/7?from=mail`. */
export type UrlFor = (path: string, query?: UrlQuery) => string;

/** How a mail is known again when its job runs again. */
export interface IdempotencyKey {
  readonly key: string;
  /**
   * For a mail that has none yet: the first claim keeps it in the delivery record, so that the receiving side can tell a
   * duplicate. Not derived from the key, for everybody who gets the mail could try guesses at its Bcc.
   */
  readonly messageId: string;
}
