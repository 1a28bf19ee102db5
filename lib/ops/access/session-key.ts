import { createHmac, randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import type { Config } from '../../core/config';
import type { Redis } from '../../core/redis';
import { answerWithin } from '../../job/redis/redis-script';
import { lazily } from '../../support/lazily';

export interface KeyStores {
  readonly config: Pick<Config, 'ops' | 'opsToken'>;
  readonly appName: string;
  readonly redis: Redis;
  readonly knex: Knex;
}

const NAME = 'sessions';
const COPY = 'catamount:ops:key';
const ANSWER_MS = 2000;

/**
 * What sessions are signed with: random, or OPS_SECRET, and the passwords, so that a new password ends every session. A
 * key made of the passwords alone could be guessed by a viewer, who knows one of them and has a cookie to try it on. Where
 * nobody signs in, the token, which is random itself: a new start ends every session.
 */
export function sessionKey(stores: KeyStores): () => Promise<Buffer> {
  const { config, appName } = stores;
  return lazily(async () => {
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

/** Of Postgres, made by whoever asks first. The copy in Redis is for processes that begin while Postgres is away. */
async function storedKey({ redis, knex }: KeyStores): Promise<Buffer> {
  try {
    const key = await answerWithin(ANSWER_MS, keyInPostgres(knex));
    await redis.client.set(COPY, key.toString('base64')).catch(() => undefined);
    return key;
  } catch (error) {
    const copy = await redis.client.get(COPY).catch(() => null);
    if (copy === null) throw error;
    return Buffer.from(copy, 'base64');
  }
}

async function keyInPostgres(knex: Knex): Promise<Buffer> {
  await knex.raw('insert into ops_keys (name, key) values (?, ?) on conflict do nothing', [NAME, randomBytes(32)]);
  const { rows } = await knex.raw<{ rows: { key: Buffer }[] }>('select key from ops_keys where name = ?', [NAME]);
  const [row] = rows;
  if (!row) throw new Error('The key of the sessions was deleted from ops_keys while it was read');
  return row.key;
}
