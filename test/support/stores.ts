import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import { createDatabase, type DatabaseOptions, type TestDatabase } from './postgres';
import { startTestRedis, type TestRedis } from './redis';
import { inSuite } from './suite';
import { until } from './until';
import { WAIT_LIMIT_MS } from './wait-limit';

/** A database for the tests of a suite. To be called in `describe`, like the others. */
export function usePostgres(options: DatabaseOptions = {}, part = inSuite): TestDatabase {
  return part('drop', () => createDatabase(options));
}

/** The product's pool on the database of a suite. */
export function useDatabase(created: TestDatabase, options: { readonly poolMax?: number } = {}, part = inSuite) {
  const stop = (database: Database) => database.stop(Deadline.after(WAIT_LIMIT_MS));
  return part(stop, () => new Database(created.url, { production: false, events: new Events(), ...options }));
}

/** A Redis for the tests of a suite. */
export function useRedisServer(): TestRedis {
  return inSuite('remove', startTestRedis);
}

/** The product's connection to the Redis of a suite. */
export function useRedis(urlOf: () => string): Redis {
  const stop = (redis: Redis) => redis.stop(Deadline.after(WAIT_LIMIT_MS));
  return inSuite(stop, async () => {
    const redis = new Redis(urlOf(), new Events());
    await redis.start();
    await until('Redis is connected', () => redis.client.isReady);
    return redis;
  });
}
