import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import { valueWithin } from '../../support/async';
import type { OpsContext } from './context';
import { localizedProblem } from './shell';

/** The same form within this time after its answer counts as a double click, s. */
const DOUBLE_CLICK_S = 5;
/** Maximum duration of an action, s. Its claim expires after that. */
const MAX_ACTION_S = 60;
/** Lifetime of a flash, s. */
const FLASH_TTL_S = 600;
/** Interval at which a double click looks for the outcome of the first one, ms. */
const LOOK_MS = 50;
/** Timeout of an answer of Postgres, ms. */
const ANSWER_MS = 2000;
const ID = /^[A-Za-z0-9_-]{12}$/;
const PENDING = 'pending';

/** Stores the outcome of a form for the next page, whose query names it as `flash`. */
export class FlashStore<Flash extends object> {
  private readonly knex: Knex;

  constructor({ knex }: { readonly knex: Knex }) {
    this.knex = knex;
  }

  /**
   * Does the work of a form once. The same form again, as by a double click, is not repeated: both requests get the id
   * of the same flash. While Postgres does not answer, the work is done without a flash, since it may need no Postgres.
   * @returns the id of the flash; undefined without one. @throws the error of `work`; ProblemError 409 when the first
   * request with the same form failed.
   */
  async once(ctx: OpsContext, work: () => Promise<Flash>): Promise<string | undefined> {
    const key = digest(ctx);
    const claimed = await valueWithin(this.claim(key), ANSWER_MS, undefined);
    if (claimed === undefined) {
      await work();
      return undefined;
    }
    if (!claimed) return this.twin(key);
    try {
      const id = randomBytes(9).toString('base64url');
      const flash = JSON.stringify(await work());
      await this.put(`flash:${id}`, flash, FLASH_TTL_S);
      await this.put(key, id, DOUBLE_CLICK_S);
      return id;
    } catch (thrown) {
      await this.knex.raw(`delete from ${TABLES.flashes} where key = ?`, [key]).catch(() => undefined);
      throw thrown;
    }
  }

  /** The flash that the query names; undefined when there is none or it has expired. */
  async flash({ query }: OpsContext): Promise<Flash | undefined> {
    const { flash: id } = query;
    if (typeof id !== 'string' || !ID.test(id)) return undefined;
    const text = await valueWithin(this.get(`flash:${id}`), ANSWER_MS, null);
    return text === null ? undefined : (JSON.parse(text) as Flash);
  }

  private async twin(key: string): Promise<string> {
    const end = Date.now() + MAX_ACTION_S * 1000;
    let state: string | null = PENDING;
    while (state === PENDING && Date.now() < end) {
      await wait(LOOK_MS);
      state = await this.get(key);
    }
    if (state === null || state === PENDING) throw localizedProblem(409, 'twice');
    return state;
  }

  /** @returns false, without a change, when the form has been claimed already. */
  private async claim(key: string): Promise<boolean> {
    const { rowCount } = await this.write(key, PENDING, MAX_ACTION_S, 'kept.expires_at < now()');
    return rowCount > 0;
  }

  private async put(key: string, text: string, seconds: number): Promise<void> {
    await this.write(key, text, seconds, 'true');
    await this.knex.raw(`delete from ${TABLES.flashes} where expires_at < now()`);
  }

  private async get(key: string): Promise<string | null> {
    const { rows } = await this.knex.raw<{ rows: { readonly text: string }[] }>(
      `select text from ${TABLES.flashes} where key = ? and expires_at > now()`,
      [key],
    );
    return rows[0]?.text ?? null;
  }

  private write(key: string, text: string, seconds: number, condition: string) {
    return this.knex.raw<{ rowCount: number }>(
      `insert into ${TABLES.flashes} as kept (key, text, expires_at) values (?, ?, now() + ? * interval '1 second')
       on conflict (key) do update set text = excluded.text, expires_at = excluded.expires_at where ${condition}`,
      [key, text, seconds],
    );
  }
}

/** Identifies a form and its sender, whose token is among the fields. */
function digest({ method, path, state }: OpsContext): string {
  return createHash('sha256').update(`${method} ${path}\n${state.form.toString()}`).digest('base64url');
}
