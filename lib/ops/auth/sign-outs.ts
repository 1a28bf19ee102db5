import { createHmac } from 'node:crypto';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { Redis } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';

const PREFIX = 'catamount:ops:signed-out:';
/** Time limit for each store, ms: a request must not hang because one of them is unavailable. */
const SIGN_OUT_TIMEOUT_MS = 1000;

/** Ended sessions, kept in Postgres, which is durable, and in Redis, which answers while Postgres is unavailable. */
export class SignOuts {
  constructor(
    private readonly redis: Redis,
    private readonly knex: Knex,
  ) {}

  async add(secret: string, seconds: number): Promise<void> {
    const session = hashSecret(secret);
    const inPostgres = async () => {
      await this.knex.raw(
        `insert into ${TABLES.signOuts} (session, expires_at) values (?, now() + ? * interval '1 second')
         on conflict do nothing`,
        [session, seconds],
      );
      await this.knex.raw(`delete from ${TABLES.signOuts} where expires_at < now()`);
    };
    await Promise.allSettled([
      answerWithin(SIGN_OUT_TIMEOUT_MS, inPostgres()),
      answerWithin(SIGN_OUT_TIMEOUT_MS, this.redis.client.set(PREFIX + session, '1', { EX: seconds })),
    ]);
  }

  /** False while neither store answers, so that the pages work through an outage. */
  async has(secret: string): Promise<boolean> {
    const session = hashSecret(secret);
    const answers = await Promise.allSettled([
      answerWithin(SIGN_OUT_TIMEOUT_MS, this.redis.client.exists(PREFIX + session)),
      answerWithin(SIGN_OUT_TIMEOUT_MS, this.knex.raw(`select 1 from ${TABLES.signOuts} where session = ?`, [session])),
    ]);
    const [inRedis, inPostgres] = answers;
    return (
      (inRedis.status === 'fulfilled' && inRedis.value > 0) ||
      (inPostgres.status === 'fulfilled' && inPostgres.value.rows.length > 0)
    );
  }
}

/** Digest of the secret: forms are bound to the secret itself, so the stored digest is of no use to a reader. */
function hashSecret(secret: string): string {
  return createHmac('sha256', secret).update('signed out').digest('base64url');
}
