import { createHmac, randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import { type Config, TABLES } from '../../core/config';
import type { Redis } from '../../core/redis';
import { answerWithin, RedisTimeoutError } from '../../core/redis-script';
import { lazy } from '../../support/async';

export interface KeyStores {
  readonly config: Pick<Config, 'ops' | 'opsToken'>;
  readonly appName: string;
  readonly redis: Redis;
  readonly knex: Knex;
}

const NAME = 'sessions';
const COPY = 'catamount:ops:key';
const KEY_TIMEOUT_MS = 2000;

/**
 * The key that signs sessions: a random one, or OPS_SECRET, combined with the passwords, so that a new password ends
 * every session. The passwords alone would not do: a viewer knows one of them and could guess the other with their own
 * cookie. Without passwords the key derives from the access token, which is random: a restart ends every session.
 */
export function sessionKey(stores: KeyStores): () => Promise<Buffer> {
  const { config, appName } = stores;
  return lazy(async () => {
    const { ops, opsToken } = config;
    if (ops === null)
      return createHmac('sha256', opsToken ?? '')
        .update(`sessions of ${appName}`)
        .digest();
    const secret = ops.secret ?? (await storedKey(stores));
    const parts = JSON.stringify([appName, ops.user, ops.password, ops.viewerPassword]);
    return createHmac('sha256', secret).update(parts).digest();
  });
}

/**
 * The key in Postgres, created on first use. Processes that start while Postgres is unavailable use the copy in Redis.
 */
async function storedKey({ redis, knex }: KeyStores): Promise<Buffer> {
  try {
    const key = await answerWithin(KEY_TIMEOUT_MS, keyInPostgres(knex)).catch((error: unknown) => {
      throw error instanceof RedisTimeoutError ? new PostgresTimeoutError(KEY_TIMEOUT_MS) : error;
    });
    await redis.client.set(COPY, key.toString('base64')).catch(() => undefined);
    return key;
  } catch (error) {
    const copy = await redis.client.get(COPY).catch(() => null);
    if (copy === null) throw error;
    return Buffer.from(copy, 'base64');
  }
}

/** Has the code of a network timeout, so that the pages report both in the same way. */
class PostgresTimeoutError extends Error {
  override readonly name = 'PostgresTimeoutError';
  readonly code = 'ETIMEDOUT';

  constructor(limitMs: number) {
    super(`Postgres did not answer within ${limitMs} ms`);
  }
}

async function keyInPostgres(knex: Knex): Promise<Buffer> {
  await knex.raw(`insert into ${TABLES.keys} (name, key) values (?, ?) on conflict do nothing`, [
    NAME,
    randomBytes(32),
  ]);
  const { rows } = await knex.raw<{ rows: { key: Buffer }[] }>(`select key from ${TABLES.keys} where name = ?`, [NAME]);
  const [row] = rows;
  if (!row) throw new Error(`The key of the sessions was deleted from ${TABLES.keys} while it was read`);
  return row.key;
}
