import { createRequire } from 'node:module';
import type * as Redis from 'redis';

/** The `createClient` of the package `redis`. */
export const createClient = load().createClient;

/**
 * Loads `@redis/client` alone. The package `redis` adds modules for search, JSON, time series and Bloom filters, which
 * nothing here uses: 170 files, 45 ms and 4 MB of heap in every process.
 */
function load(): Pick<typeof Redis, 'createClient'> {
  const ofThePackage = createRequire(require.resolve('redis'));
  return ofThePackage('@redis/client') as typeof Redis;
}

export function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
