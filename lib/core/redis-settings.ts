import { isSentinelUrl, KEY_PREFIX } from './redis-url';
import { kind, oneOf, type SettingsReader, secret } from './settings-reader';

const VARIABLES = ['REDIS_TLS_URL', 'REDIS_URL', 'REDISTOGO_URL'];

export const REDIS_URL = secret(
  kind('a redis:// or rediss:// URL, or redis+sentinel://host:26379,host2:26379/name-of-the-master', (text) => {
    // Loaded on demand: few have sentinels.
    if (isSentinelUrl(text))
      return (require('./sentinel-url') as typeof import('./sentinel-url')).readSentinelUrl(text);
    return URL.canParse(text) && ['redis:', 'rediss:'].includes(new URL(text).protocol) ? text : undefined;
  }),
);

/** Reads REDIS. @returns true for a tree without Redis, which cannot have the URL of one. */
export function readRedisOff(read: SettingsReader): boolean {
  const off = { ...oneOf('off'), allowed: 'off, or not set: a URL belongs into REDIS_URL' };
  const isOff = read.get('REDIS', read.raw('REDIS')?.includes('@') ? secret(off) : off, null) !== null;
  const named = ['REDIS_PROVIDER', ...VARIABLES].find((variable) => read.has(variable));
  if (isOff && named !== undefined) read.complain('REDIS', 'off', `unset, or ${named}: a tree has a Redis or none`);
  return isOff;
}

/**
 * Reads the Redis URL. REDIS_PROVIDER *names* the variable that holds it, as with Sidekiq; without it, it is the first
 * that is set of REDIS_TLS_URL, REDIS_URL and REDISTOGO_URL. @returns null when none is.
 */
export function readRedisUrl(read: SettingsReader): string | null {
  const provider = read.raw('REDIS_PROVIDER');
  const variable = provider ?? VARIABLES.find((each) => read.has(each));
  if (variable === undefined) return null;
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) {
    const allowed = 'the name of the variable that holds the URL, such as REDISTOGO_URL, not a URL itself';
    read.complain('REDIS_PROVIDER', variable.replace(/\/\/.*@/, '//…@'), allowed);
    return null;
  }
  read.require(variable, `${REDIS_URL.allowed}, since REDIS_PROVIDER names it`);
  return read.get(variable, REDIS_URL, null);
}

/** @param prefix REDIS_PREFIX, or null. @returns the URL with it as a parameter of ours. */
export function withRedisPrefix(url: string, prefix: string | null): string {
  if (prefix === null) return url;
  const parsed = new URL(url);
  parsed.searchParams.set(KEY_PREFIX, `{${prefix}}`);
  return parsed.toString();
}
