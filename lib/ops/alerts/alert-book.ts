import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { Alert } from './channels';

type Fact = Pick<Alert, 'key' | 'line' | 'level'>;

/** A claim that has not been told by then is another's, s: whoever had it has died, or reaches no channel. */
const CLAIM_S = 120;

/**
 * What operators have been told of, in Postgres, so that each fact is told once however many trees see it, also after a restart.
 * @throws errors of Postgres from each of its methods.
 */
export class AlertBook {
  constructor(private readonly knex: Knex) {}

  /** @returns true: the caller tells it now. */
  async claim({ key, line, level }: Fact): Promise<boolean> {
    const { rows } = await this.knex.raw<{ rows: unknown[] }>(
      `insert into ${TABLES.alerts} as kept (key, line, level) values (?, ?, ?)
       on conflict (key) do update set claimed_at = clock_timestamp(), line = excluded.line
         where kept.told_at is null and kept.claimed_at < clock_timestamp() - ${CLAIM_S} * interval '1 second'
       returning key`,
      [key, line, level],
    );
    return rows.length > 0;
  }

  /** Gives up a claim that no channel took, so that the next look tells it. */
  async release(key: string): Promise<void> {
    await this.knex.raw(`delete from ${TABLES.alerts} where key = ? and told_at is null`, [key]);
  }

  async markTold(key: string): Promise<void> {
    await this.knex.raw(`update ${TABLES.alerts} set told_at = clock_timestamp() where key = ?`, [key]);
  }

  /** @returns what was told and is not over. */
  async told(): Promise<readonly Fact[]> {
    const { rows } = await this.knex.raw<{ rows: Fact[] }>(
      `select key, line, level from ${TABLES.alerts} where told_at is not null order by began_at`,
    );
    return rows;
  }

  /** @returns true: the caller tells that it is over. */
  async close(key: string): Promise<boolean> {
    const { rows } = await this.knex.raw<{ rows: unknown[] }>(
      `delete from ${TABLES.alerts} where key = ? and told_at is not null returning key`,
      [key],
    );
    return rows.length > 0;
  }
}
