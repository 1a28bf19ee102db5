import { KEY_PREFIX } from './redis-url';
import { oneOf, type SettingsReader, secret, url } from './settings-reader';

const VARIABLES = ['REDIS_TLS_URL', 'REDIS_URL'];

export const REDIS_URL = secret(url('a redis:// or rediss:// URL', 'redis:', 'rediss:'));

/** Reads REDIS. @returns true for a tree without Redis, which cannot have the URL of one. */
export function readRedisOff(read: SettingsReader): boolean {
  const off = { ...oneOf('off'), allowed: 'off, or not set: a URL belongs into REDIS_URL' };
  const isOff = read.get('REDIS', read.raw('REDIS')?.includes('@') ? secret(off) : off, null) !== null;
  const named = VARIABLES.find((variable) => read.has(variable));
  if (isOff && named !== undefined) read.complain('REDIS', 'off', `unset, or ${named}: a tree has a Redis or none`);
  return isOff;
}

/** Reads the Redis URL: the first that is set of REDIS_TLS_URL and REDIS_URL. @returns null when none is. */
export function readRedisUrl(read: SettingsReader): string | null {
  const variable = VARIABLES.find((each) => read.has(each));
  return variable === undefined ? null : read.get(variable, REDIS_URL, null);
}

/** @param prefix REDIS_PREFIX, or null. @returns the URL with it as a parameter of ours. */
export function withRedisPrefix(url: string, prefix: string | null): string {
  if (prefix === null) return url;
  const parsed = new URL(url);
  parsed.searchParams.set(KEY_PREFIX, `{${prefix}}`);
  return parsed.toString();
}
