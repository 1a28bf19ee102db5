import type { Config } from '../core/config';

/** The URLs that every role but the primary may rely on: given in the environment, or of the embedded servers. */
export function serverUrls(config: Config): { readonly database: string; readonly redis: string } {
  if (config.databaseUrl === null || config.redisUrl === null) {
    throw new Error('the primary must settle the database and Redis URLs before it starts its children');
  }
  return { database: config.databaseUrl, redis: config.redisUrl };
}
