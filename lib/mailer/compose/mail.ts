import type { MailDelivery as DeliveryMethod } from '../../core/config';
import type { MailAtHand, MailDefaults, MailOptions } from '../definition/mail-types';
import { Attachments } from './attachment';
import { checkedHeaders, checkedSubject, mailboxes, mergedHeaders } from './headers';

export type { DeliveryMethod };

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

/** What defaults come to for one mail. */
type ResolvedDefaults = {
  readonly [K in keyof MailDefaults]: Exclude<MailDefaults[K], (...args: never[]) => unknown>;
};

/** The defaults of the class laid over those of the classes it extends, functions asked. Headers add up one by one. */
export function settledDefaults(mailer: object, mail: MailAtHand): ResolvedDefaults {
  let merged: ResolvedDefaults = {};
  for (let at: unknown = mailer; isMailer(at); at = Object.getPrototypeOf(at)) {
    if (!Object.hasOwn(at, 'defaults')) continue;
    const { headers, ...own } = at.defaults;
    // A function that is overridden is not asked.
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

/** The value itself, or what its function gives now. */
function settled<T>(value: T | ((mail: MailAtHand) => T), mail: MailAtHand): T {
  return typeof value === 'function' ? (value as (mail: MailAtHand) => T)(mail) : value;
}
