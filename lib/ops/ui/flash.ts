import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { RedisClient } from '../../core/redis';
import type { OpsContext } from './context';
import { localizedProblem } from './shell';

const PREFIX = 'catamount:ops:';
/** A form that is sent again this soon after its answer is a double click, s. */
const DOUBLE_CLICK_S = 5;
/** How long an action may take, s. */
const LONGEST_S = 60;
/** How long the page that follows can tell what was done, s. */
const TOLD_S = 600;
const LOOK_MS = 50;
const ID = /^[A-Za-z0-9_-]{12}$/;
const PENDING = 'pending';

/** Tells the page that follows a form what the form did: the query of that page has the id, `flash`. */
export class FlashStore<Flash extends object> {
  constructor(private readonly redis: RedisClient) {}

  /**
   * Does what the form of the request asks for. The same form once more, as by a double click, is not done again: both
   * are answered with the id of the one flash.
   * @param repeatable it does no harm twice: while Redis is away it is done all the same, and no page tells of it.
   * @returns its id, if there is one. @throws what `work` throws; ProblemError 409 when the other one of two has failed.
   */
  async once(ctx: OpsContext, work: () => Promise<Flash>, repeatable = false): Promise<string | undefined> {
    const key = PREFIX + digest(ctx);
    const options = { condition: 'NX', expiration: { type: 'EX', value: LONGEST_S } } as const;
    const claimed = await this.redis.set(key, PENDING, options).catch((thrown: unknown) => {
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
      await this.redis.set(`${PREFIX}flash:${id}`, flash, { expiration: { type: 'EX', value: TOLD_S } });
      await this.redis.set(key, id, { expiration: { type: 'EX', value: DOUBLE_CLICK_S } });
      return id;
    } catch (thrown) {
      await this.redis.del(key).catch(() => undefined);
      throw thrown;
    }
  }

  /** What the request before this one has done; undefined when there was none, or it is long ago. */
  async flash({ query }: OpsContext): Promise<Flash | undefined> {
    const { flash: id } = query;
    if (typeof id !== 'string' || !ID.test(id)) return undefined;
    const text = await this.redis.get(`${PREFIX}flash:${id}`).catch(() => null);
    return text === null ? undefined : (JSON.parse(text) as Flash);
  }

  private async twin(key: string): Promise<string> {
    const end = Date.now() + LONGEST_S * 1000;
    let state: string | null = PENDING;
    while (state === PENDING && Date.now() < end) {
      await wait(LOOK_MS);
      state = await this.redis.get(key);
    }
    if (state === null || state === PENDING) throw localizedProblem(409, 'twice');
    return state;
  }
}

/** The form, and whose it is: its token is among its fields. */
function digest({ method, path, state }: OpsContext): string {
  return createHash('sha256').update(`${method} ${path}\n${state.form.toString()}`).digest('base64url');
}
