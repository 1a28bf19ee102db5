import type { MailDelivery as DeliveryMethod } from '../../core/config';
import type { MailAtHand, MailDefaults, MailOptions } from '../definition/mail-types';
import { Attachments } from './attachment';
import { checkedHeaders, checkedSubject, mailboxes, mergedHeaders } from './headers';

export type { DeliveryMethod };

/** A mail that an action has built with `this.mail()`. */
export class Mail {
  private readonly own = new Attachments();

  /** @throws InvalidMailError for an invalid address, a line break in a header or an invalid attachment. */
  constructor(
    readonly options: MailOptions,
    private readonly attached: Attachments = new Attachments(),
  ) {
    for (const field of ['from', 'to', 'cc', 'bcc', 'replyTo'] as const) mailboxes(field, options[field]);
    if (options.subject !== undefined) checkedSubject(options.subject);
    checkedHeaders(options.headers ?? {});
    this.own.add(options.attachments ?? []);
  }

  /** The attachments added by `attach` and `inline` so far, followed by those of the options. */
  get attachments(): Attachments {
    return this.attached.and(this.own);
  }
}

/** The return value of an action; undefined means that no mail is sent. */
export type ActionResult = Mail | undefined | Promise<Mail | undefined>;

/** The defaults of a mailer after its functions have been called for one mail. */
type ResolvedDefaults = {
  readonly [K in keyof MailDefaults]: Exclude<MailDefaults[K], (...args: never[]) => unknown>;
};

/** Resolves the defaults of a mailer: a subclass overrides its parents, except that headers merge one by one. */
export function settledDefaults(mailer: object, mail: MailAtHand): ResolvedDefaults {
  let merged: ResolvedDefaults = {};
  for (let at: unknown = mailer; isMailer(at); at = Object.getPrototypeOf(at)) {
    if (!Object.hasOwn(at, 'defaults')) continue;
    const { headers, ...own } = at.defaults;
    // The function of an overridden default is not called.
    const missing = Object.entries(own).filter(([name, value]) => value !== undefined && !Object.hasOwn(merged, name));
    merged = {
      ...Object.fromEntries(missing.map(([name, value]) => [name, settled<unknown>(value, mail)])),
      ...merged,
      headers: mergedHeaders(settled(headers, mail), merged.headers),
    };
  }
  return merged;
}

function isMailer(value: unknown): value is { readonly defaults: MailDefaults } {
  return typeof value === 'function' && 'defaults' in value;
}

function settled<T>(value: T | ((mail: MailAtHand) => T), mail: MailAtHand): T {
  return typeof value === 'function' ? (value as (mail: MailAtHand) => T)(mail) : value;
}
