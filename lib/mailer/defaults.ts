import { mergedHeaders } from './headers';
import type { MailAtHand, MailDefaults } from './mail';

/** What defaults come to for one mail. */
export type SettledDefaults = {
  readonly [K in keyof MailDefaults]: Exclude<MailDefaults[K], (...args: never[]) => unknown>;
};

/** The defaults of the class laid over those of the classes it extends, functions asked. Headers add up one by one. */
export function settledDefaults(mailer: object, mail: MailAtHand): SettledDefaults {
  let merged: SettledDefaults = {};
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
