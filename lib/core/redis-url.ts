import { redisTlsMode } from './tls';

/** Our parameter of a Redis URL: the prefix of every key and channel of this app, such as `{shop}`. */
const KEY_PREFIX = 'keyPrefix';

/** @returns the TLS options for both Redis clients (tls.ts); empty for redis://. */
export function redisTls(
  url: string,
): { readonly tls: true; readonly rejectUnauthorized: boolean } | Record<string, never> {
  const mode = redisTlsMode(url);
  return mode === 'off' ? {} : { tls: true, rejectUnauthorized: mode === 'checked' };
}

/** @returns the URL without the parameters of ours, which Redis clients do not know. */
export function clientUrl(url: string): string {
  const parsed = new URL(url);
  for (const name of ['sslmode', KEY_PREFIX]) parsed.searchParams.delete(name);
  return parsed.toString();
}

/**
 * Both clients put this before each key, and we before each channel; scripts find it before their first key
 * (`NAMESPACE_LUA`). It is a hash tag, so a cluster keeps all keys of an app in one slot, and no script or command needs
 * keys of two. It has no colon, since the parts of a queue's key are found by theirs.
 * @returns '' for an app without REDIS_PREFIX, whose keys are called as bee-queue's and ours always were.
 */
export function keyPrefixOf(url: string): string {
  return new URL(url).searchParams.get(KEY_PREFIX) ?? '';
}

/** @param prefix REDIS_PREFIX, or null. @returns the URL that tells both clients to use it. */
export function withRedisPrefix(url: string, prefix: string | null): string {
  if (prefix === null) return url;
  const parsed = new URL(url);
  parsed.searchParams.set(KEY_PREFIX, `{${prefix}}`);
  return parsed.toString();
}
