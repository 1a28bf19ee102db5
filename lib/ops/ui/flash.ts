import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { Redis, RedisClient } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import type { OpsContext } from './context';
import { localizedProblem } from './shell';

const PREFIX = 'catamount:ops:';
/** The same form within this time after its answer counts as a double click, s. */
const DOUBLE_CLICK_S = 5;
/** Maximum duration of an action, s. Its claim expires after that. */
const MAX_ACTION_S = 60;
/** Lifetime of a flash, s. */
const FLASH_TTL_S = 600;
/** Interval at which a double click looks for the outcome of the first one, ms. */
const LOOK_MS = 50;
/** Timeout of a reply of Redis, ms. */
const REPLY_MS = 2000;
const ID = /^[A-Za-z0-9_-]{12}$/;
const PENDING = 'pending';

/** Keeps texts by key, each for some seconds. */
interface Keeper {
  /** @returns false, without a change, when the key has a text. */
  claim(key: string, text: string, seconds: number): Promise<boolean>;
  put(key: string, text: string, seconds: number): Promise<unknown>;
  get(key: string): Promise<string | null>;
  drop(key: string): Promise<unknown>;
}

/** Stores the outcome of a form for the next page, whose query names it as `flash`: in Redis, or without it in Postgres. */
export class FlashStore<Flash extends object> {
  private readonly keeper: Keeper;

  constructor({ redis, knex }: { readonly redis: Redis; readonly knex: Knex }) {
    this.keeper = redis.isOff ? inPostgres(knex) : inRedis(redis.client);
  }

  /**
   * Does the work of a form once. The same form again, as by a double click, is not repeated: both requests get the id
   * of the same flash.
   * @param repeatable true for work that may run twice: it is done even while the store is down, then without a flash.
   * @returns the id of the flash; undefined without one. @throws the error of `work`; ProblemError 409 when the first
   * request with the same form failed.
   */
  async once(ctx: OpsContext, work: () => Promise<Flash>, repeatable = false): Promise<string | undefined> {
    const key = PREFIX + digest(ctx);
    const claim = this.keeper.claim(key, PENDING, MAX_ACTION_S);
    const claimed = await answerWithin(REPLY_MS, claim).catch((thrown: unknown) => {
      if (repeatable) return undefined;
      throw thrown;
    });
    if (claimed === undefined) {
      await work();
      return undefined;
    }
    if (!claimed) return this.twin(key);
    try {
      const id = randomBytes(9).toString('base64url');
      const flash = JSON.stringify(await work());
      await this.keeper.put(`${PREFIX}flash:${id}`, flash, FLASH_TTL_S);
      await this.keeper.put(key, id, DOUBLE_CLICK_S);
      return id;
    } catch (thrown) {
      await this.keeper.drop(key).catch(() => undefined);
      throw thrown;
    }
  }

  /** The flash that the query names; undefined when there is none or it has expired. */
  async flash({ query }: OpsContext): Promise<Flash | undefined> {
    const { flash: id } = query;
    if (typeof id !== 'string' || !ID.test(id)) return undefined;
    const text = await answerWithin(REPLY_MS, this.keeper.get(`${PREFIX}flash:${id}`)).catch(() => null);
    return text === null ? undefined : (JSON.parse(text) as Flash);
  }

  private async twin(key: string): Promise<string> {
    const end = Date.now() + MAX_ACTION_S * 1000;
    let state: string | null = PENDING;
    while (state === PENDING && Date.now() < end) {
      await wait(LOOK_MS);
      state = await this.keeper.get(key);
    }
    if (state === null || state === PENDING) throw localizedProblem(409, 'twice');
    return state;
  }
}

/** Identifies a form and its sender, whose token is among the fields. */
function digest({ method, path, state }: OpsContext): string {
  return createHash('sha256').update(`${method} ${path}\n${state.form.toString()}`).digest('base64url');
}

function inRedis(redis: RedisClient): Keeper {
  const expiring = (value: number) => ({ expiration: { type: 'EX', value } }) as const;
  return {
    claim: async (key, text, seconds) =>
      (await redis.set(key, text, { condition: 'NX', ...expiring(seconds) })) !== null,
    put: (key, text, seconds) => redis.set(key, text, expiring(seconds)),
    get: (key) => redis.get(key),
    drop: (key) => redis.del(key),
  };
}

function inPostgres(knex: Knex): Keeper {
  const write = (condition: string) => `insert into ${TABLES.flashes} as kept (key, text, expires_at)
    values (?, ?, now() + ? * interval '1 second')
    on conflict (key) do update set text = excluded.text, expires_at = excluded.expires_at where ${condition}`;
  return {
    claim: async (...values) => {
      const { rowCount } = await knex.raw<{ rowCount: number }>(write('kept.expires_at < now()'), values);
      return rowCount > 0;
    },
    put: async (...values) => {
      await knex.raw(write('true'), values);
      await knex.raw(`delete from ${TABLES.flashes} where expires_at < now()`);
    },
    get: async (key) => {
      const { rows } = await knex.raw<{ rows: { readonly text: string }[] }>(
        `select text from ${TABLES.flashes} where key = ? and expires_at > now()`,
        [key],
      );
      return rows[0]?.text ?? null;
    },
    drop: (key) => knex.raw(`delete from ${TABLES.flashes} where key = ?`, [key]),
  };
}
