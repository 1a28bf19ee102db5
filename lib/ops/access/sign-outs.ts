import { createHmac } from 'node:crypto';
import type { Knex } from 'knex';
import type { Redis } from '../../core/redis';
import { answerWithin } from '../../job/redis/redis-script';

const PREFIX = 'catamount:ops:signed-out:';
/** Nobody waits longer for a store that is away. */
const ANSWER_MS = 1000;

/** Sessions that were ended: kept in Postgres, which loses nothing, and in Redis for the time that Postgres is away. */
export class SignOuts {
  constructor(
    private readonly redis: Redis,
    private readonly knex: Knex,
  ) {}

  async add(secret: string, seconds: number): Promise<void> {
    const session = digestOf(secret);
    const inPostgres = async () => {
      await this.knex.raw(
        `insert into ops_sign_outs (session, expires_at) values (?, now() + ? * interval '1 second')
         on conflict do nothing`,
        [session, seconds],
      );
      await this.knex.raw('delete from ops_sign_outs where expires_at < now()');
    };
    await Promise.allSettled([
      answerWithin(ANSWER_MS, inPostgres()),
      answerWithin(ANSWER_MS, this.redis.client.set(PREFIX + session, '1', { EX: seconds })),
    ]);
  }

  /** While neither store answers, nobody has: the pages work through an outage. */
  async has(secret: string): Promise<boolean> {
    const session = digestOf(secret);
    const answers = await Promise.allSettled([
      answerWithin(ANSWER_MS, this.redis.client.exists(PREFIX + session)),
      answerWithin(ANSWER_MS, this.knex.raw('select 1 from ops_sign_outs where session = ?', [session])),
    ]);
    const [inRedis, inPostgres] = answers;
    return (
      (inRedis.status === 'fulfilled' && inRedis.value > 0) ||
      (inPostgres.status === 'fulfilled' && inPostgres.value.rows.length > 0)
    );
  }
}

/** What is stored is of no use to who reads it: forms are bound to the secret itself. */
function digestOf(secret: string): string {
  return createHmac('sha256', secret).update('signed out').digest('base64url');
}
