import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';

/** The Redis key of the id of the installation that this Redis belongs to. */
const KEY = 'catamount:installation';
const ANSWER_MS = 5000;

/** The installation whose jobs are in Postgres, and the one that Redis belongs to. */
export interface Installation {
  readonly database: string;
  readonly redis: string;
}

/**
 * Reads both ids. A database that was copied from another installation has that one's id. A side that has none, or has
 * lost it, gets the other's; when both have none they get a new one. @throws when Postgres or Redis does not answer.
 */
export async function readInstallation(knex: Knex, client: RedisClient): Promise<Installation> {
  const known = await answerWithin(ANSWER_MS, client.get(KEY));
  const database = (await idInDatabase(knex)) ?? (await settle(knex, known ?? randomUUID()));
  if (known !== null) return { database, redis: known };
  await answerWithin(ANSWER_MS, client.set(KEY, database, { NX: true }));
  return { database, redis: (await answerWithin(ANSWER_MS, client.get(KEY))) ?? database };
}

/** Makes the jobs in this database belong to the installation of this Redis. @returns false when they did already. */
export async function adoptDatabase(knex: Knex, client: RedisClient): Promise<boolean> {
  const { database, redis } = await readInstallation(knex, client);
  if (database === redis) return false;
  await knex.raw(`update ${TABLES.installation} set id = ?::uuid`, [redis]);
  return true;
}

export async function idInDatabase(knex: Knex): Promise<string | undefined> {
  const { rows } = await knex.raw<{ rows: { readonly id: string }[] }>(`select id::text from ${TABLES.installation}`);
  return rows[0]?.id;
}

/**
 * Compares both ids without writing any.
 * @returns true when the jobs of this database belong to another installation; false also when either id is missing.
 * @throws when Postgres or Redis does not answer.
 */
export async function isForeign(knex: Knex, client: RedisClient): Promise<boolean> {
  const [database, redis] = await Promise.all([idInDatabase(knex), answerWithin(ANSWER_MS, client.get(KEY))]);
  return database !== undefined && redis !== null && database !== redis;
}

/** Sets the database's id unless another process was first. @returns the id that it has now. */
async function settle(knex: Knex, id: string): Promise<string> {
  await knex.raw(`insert into ${TABLES.installation} (id) values (?::uuid) on conflict do nothing`, [id]);
  return (await idInDatabase(knex)) ?? id;
}

/** Time for which a positive answer is reused, ms, unless a connection was lost meanwhile. */
const STANDS_MS = 2000;

export interface InstallationGateOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  /** Called once, until the jobs are adopted, when the database was copied from another installation. */
  readonly onForeign: (installation: Installation) => void;
}

/**
 * Prevents the dispatch of jobs in a database that was copied from another installation, until they are adopted.
 */
export class InstallationGate {
  private readAt = Number.NEGATIVE_INFINITY;
  private isOpen = false;
  private foreign = false;
  /** The database's installation id when it was last read. */
  private id: string | null = null;

  constructor(private readonly options: InstallationGateOptions) {}

  /** The latest answer of `opens`, without asking again; false before the first. */
  get wasOpen(): boolean {
    return this.isOpen;
  }

  /**
   * @param id the installation id that was read together with the rows.
   * @returns true when the rows may be dispatched; false when the database was restored from another dump meanwhile.
   */
  owns(id: string | null): boolean {
    return this.isOpen && id === this.id;
  }

  /** The same as `owns`, with the id read in this transaction. */
  async ownsRowsIn(trx: Knex.Transaction): Promise<boolean> {
    return this.owns((await idInDatabase(trx)) ?? null);
  }

  /** Makes `opens` read both ids again, since Postgres or Redis may be another server by now. */
  forget(): void {
    this.readAt = Number.NEGATIVE_INFINITY;
  }

  /** @returns true when jobs of this database may be dispatched. @throws when Postgres or Redis does not answer. */
  async opens(): Promise<boolean> {
    const now = performance.now();
    if (now - this.readAt < STANDS_MS && this.isOpen) return true;
    const { knex, redis, onForeign } = this.options;
    const installation = await readInstallation(knex, redis);
    this.isOpen = installation.database === installation.redis;
    this.id = installation.database;
    this.readAt = now;
    if (!this.isOpen && !this.foreign) onForeign(installation);
    this.foreign = !this.isOpen;
    return this.isOpen;
  }
}
