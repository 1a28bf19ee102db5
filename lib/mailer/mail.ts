import type { Addresses } from './address';

/** What an action says of the mail it builds. Whatever is left out comes from the mailer's defaults. */
export interface MailOptions {
  readonly to?: Addresses;
  readonly cc?: Addresses;
  readonly bcc?: Addresses;
  /** Default: the mailer's `defaults.from`, else MAIL_FROM. */
  readonly from?: Addresses;
  readonly replyTo?: Addresses;
  /** Default: the text `<scope>.<action>.subject`, else the action's name in words. */
  readonly subject?: string;
  /** Default: the locale of the request or job at hand, else DEFAULT_LOCALE. An unknown one counts as the default. */
  readonly locale?: string | undefined;
  /** What the templates and the subject's text see by name. */
  readonly locals?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Folder below the templates. Default `<mailer>/<action>`, such as `user_mailer/welcome`. */
  readonly template?: string;
  /** Folder below `layouts/`, or false for none. Default: the mailer's `layout`. */
  readonly layout?: string | false;
}

/** A mail that an action has built. Made by `this.mail()` inside the action. */
export class Mail {
  constructor(readonly options: MailOptions) {}
}

/** What an action may return; nothing means that no mail is sent. */
export type ActionResult = Mail | undefined | Promise<Mail | undefined>;

type Lazy<T> = T | (() => T);

/** What all mails of a mailer share; a function is asked anew for every mail. Subclasses add to their parent's. */
export interface MailDefaults {
  readonly from?: Lazy<Addresses>;
  readonly replyTo?: Lazy<Addresses>;
  readonly cc?: Lazy<Addresses>;
  readonly bcc?: Lazy<Addresses>;
  readonly headers?: Readonly<Record<string, string>>;
}
