import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../redis/redis-script';

/** Holds the id of the installation that this Redis belongs to. */
const KEY = 'catamount:installation';
const ANSWER_MS = 5000;

/** The installation whose jobs are in Postgres, and the one that Redis belongs to. */
export interface Installation {
  readonly database: string;
  readonly redis: string;
}

/**
 * A database that was copied from another installation, with its jobs, has that one's id. Where either side has none yet,
 * or has lost it, it gets that of the other; both, a new one.
 */
export async function readInstallation(knex: Knex, client: RedisClient): Promise<Installation> {
  const known = await answerWithin(ANSWER_MS, client.get(KEY));
  const database = (await idInDatabase(knex)) ?? (await settle(knex, known ?? randomUUID()));
  if (known !== null) return { database, redis: known };
  await answerWithin(ANSWER_MS, client.set(KEY, database, { NX: true }));
  return { database, redis: (await answerWithin(ANSWER_MS, client.get(KEY))) ?? database };
}

/** From now on the jobs in this database belong to the installation that Redis belongs to. @returns whether they did not. */
export async function adoptDatabase(knex: Knex, client: RedisClient): Promise<boolean> {
  const { database, redis } = await readInstallation(knex, client);
  if (database === redis) return false;
  await knex.raw('update job_installation set id = ?::uuid', [redis]);
  return true;
}

export async function idInDatabase(knex: Knex): Promise<string | undefined> {
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>('select id::text from job_installation');
  return rows[0]?.id;
}

/**
 * Whether the jobs of this database belong to another installation; read only. false where that is not known.
 * @throws when Postgres or Redis does not answer.
 */
export async function isForeign(knex: Knex, client: RedisClient): Promise<boolean> {
  const [database, redis] = await Promise.all([idInDatabase(knex), answerWithin(ANSWER_MS, client.get(KEY))]);
  return database !== undefined && redis !== null && database !== redis;
}

/** Of several that come at once the first decides. */
async function settle(knex: Knex, id: string): Promise<string> {
  await knex.raw('insert into job_installation (id) values (?::uuid) on conflict do nothing', [id]);
  return (await idInDatabase(knex)) ?? id;
}
