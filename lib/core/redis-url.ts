import type { z } from 'zod';
import type { SettingsReader } from './settings-reader';

const ALLOWED = 'a redis:// or rediss:// URL';

/**
 * REDIS_PROVIDER *names* the variable that holds the URL (as Sidekiq defines it); without it the first of
 * REDIS_TLS_URL, REDIS_URL and REDISTOGO_URL that is set.
 */
export function readRedisUrl(read: SettingsReader, schema: z.ZodType<string>): string | null {
  const provider = read.raw('REDIS_PROVIDER');
  if (provider === undefined) {
    for (const variable of ['REDIS_TLS_URL', 'REDIS_URL', 'REDISTOGO_URL']) {
      if (read.has(variable)) return read.get(variable, schema, ALLOWED, null, 'secret');
    }
    return null;
  }
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(provider)) {
    read.complain(
      'REDIS_PROVIDER',
      provider.replace(/\/\/.*@/, '//…@'),
      'the name of the variable that holds the URL, such as REDISTOGO_URL, not a URL itself',
    );
    return null;
  }
  if (!read.has(provider)) read.require(provider, `${ALLOWED}, since REDIS_PROVIDER names it`);
  return read.get(provider, schema, ALLOWED, null, 'secret');
}
