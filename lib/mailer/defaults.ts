import type { MailDefaults } from './mail';
import type { MailerSettings } from './message';

/** The defaults of the class laid over those of the classes it extends. Headers add up one by one. */
export function inheritedDefaults(mailer: MailerSettings): MailDefaults {
  let merged: MailDefaults = {};
  for (let at: unknown = mailer; isMailer(at); at = Object.getPrototypeOf(at)) {
    if (!Object.hasOwn(at, 'defaults')) continue;
    merged = { ...at.defaults, ...merged, headers: { ...at.defaults.headers, ...merged.headers } };
  }
  return merged;
}

function isMailer(value: unknown): value is MailerSettings {
  return typeof value === 'function' && 'defaults' in value;
}

/** The value itself, or what its function gives now. */
export function settled<T extends object | string>(value: T | (() => T) | undefined): T | undefined {
  return typeof value === 'function' ? (value as () => T)() : value;
}
