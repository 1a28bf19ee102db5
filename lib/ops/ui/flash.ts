import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { RedisClient } from '../../core/redis';
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

/** Stores the outcome of a form for the next page, whose query names it as `flash`. */
export class FlashStore<Flash extends object> {
  constructor(private readonly redis: RedisClient) {}

  /**
   * Does the work of a form once. The same form again, as by a double click, is not repeated: both requests get the id
   * of the same flash.
   * @param repeatable true for work that may run twice: it is done even while Redis is down, then without a flash.
   * @returns the id of the flash; undefined without one. @throws the error of `work`; ProblemError 409 when the first
   * request with the same form failed.
   */
  async once(ctx: OpsContext, work: () => Promise<Flash>, repeatable = false): Promise<string | undefined> {
    const key = PREFIX + digest(ctx);
    const options = { condition: 'NX', expiration: { type: 'EX', value: MAX_ACTION_S } } as const;
    const claimed = await answerWithin(REPLY_MS, this.redis.set(key, PENDING, options)).catch((thrown: unknown) => {
      if (repeatable) return undefined;
      throw thrown;
    });
    if (claimed === undefined) {
      await work();
      return undefined;
    }
    if (claimed === null) return this.twin(key);
    try {
      const id = randomBytes(9).toString('base64url');
      const flash = JSON.stringify(await work());
      await this.redis.set(`${PREFIX}flash:${id}`, flash, { expiration: { type: 'EX', value: FLASH_TTL_S } });
      await this.redis.set(key, id, { expiration: { type: 'EX', value: DOUBLE_CLICK_S } });
      return id;
    } catch (thrown) {
      await this.redis.del(key).catch(() => undefined);
      throw thrown;
    }
  }

  /** The flash that the query names; undefined when there is none or it has expired. */
  async flash({ query }: OpsContext): Promise<Flash | undefined> {
    const { flash: id } = query;
    if (typeof id !== 'string' || !ID.test(id)) return undefined;
    const text = await answerWithin(REPLY_MS, this.redis.get(`${PREFIX}flash:${id}`)).catch(() => null);
    return text === null ? undefined : (JSON.parse(text) as Flash);
  }

  private async twin(key: string): Promise<string> {
    const end = Date.now() + MAX_ACTION_S * 1000;
    let state: string | null = PENDING;
    while (state === PENDING && Date.now() < end) {
      await wait(LOOK_MS);
      state = await this.redis.get(key);
    }
    if (state === null || state === PENDING) throw localizedProblem(409, 'twice');
    return state;
  }
}

/** Identifies a form and its sender, whose token is among the fields. */
function digest({ method, path, state }: OpsContext): string {
  return createHash('sha256').update(`${method} ${path}\n${state.form.toString()}`).digest('base64url');
}
