import { redisTlsMode } from './tls';

/** Our parameter of a Redis URL: the prefix of every key and channel of this app, such as `{shop}`. */
export const KEY_PREFIX = 'keyPrefix';

/** @returns the TLS options for both Redis clients (tls.ts); empty for redis://. */
export function redisTls(
  url: string,
): { readonly tls: true; readonly rejectUnauthorized: boolean } | Record<string, never> {
  const mode = redisTlsMode(url);
  return mode === 'off' ? {} : { tls: true, rejectUnauthorized: mode === 'checked' };
}

/** @returns the URL without our own parameters, which Redis clients do not know. */
export function clientUrl(url: string): string {
  const parsed = new URL(url);
  for (const name of ['sslmode', KEY_PREFIX]) parsed.searchParams.delete(name);
  return parsed.toString();
}

/** @returns the server for messages: its host and port. */
export function redisPlace(url: string): string {
  return new URL(url).host;
}

/**
 * The client puts this before each key, and we before each channel. It has no colon, since a queue's key is split at its
 * colons.
 * @returns '' for an app without REDIS_PREFIX, whose keys have the names that plain bee-queue producers expect.
 */
export function readKeyPrefix(url: string): string {
  return new URL(url).searchParams.get(KEY_PREFIX) ?? '';
}
