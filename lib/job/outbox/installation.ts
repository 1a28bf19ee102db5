import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';

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

/** How long an answer stands, ms; less where a connection was lost meanwhile. */
const STANDS_MS = 2000;

export interface InstallationGateOptions {
  readonly knex: Knex;
  readonly redis: RedisClient;
  /** The database was copied from another installation. Told once, until it is adopted. */
  readonly onForeign: (installation: Installation) => void;
}

/** Keeps the jobs of a database that was copied from another installation where they are, until somebody adopts them. */
export class InstallationGate {
  private readAt = Number.NEGATIVE_INFINITY;
  private isOpen = false;
  private foreign = false;
  /** Of the database, by the last look. */
  private id: string | null = null;

  constructor(private readonly options: InstallationGateOptions) {}

  /** By the last look; false before the first. */
  get wasOpen(): boolean {
    return this.isOpen;
  }

  /**
   * Whether rows of a database that says to have this id may be dispatched: it may have been restored from another's dump
   * since the last look.
   */
  owns(id: string | null): boolean {
    return this.isOpen && id === this.id;
  }

  /** The same, asked in a transaction. */
  async ownsRowsIn(trx: Knex.Transaction): Promise<boolean> {
    return this.owns((await idInDatabase(trx)) ?? null);
  }

  /** Postgres or Redis may be another one by now. */
  forget(): void {
    this.readAt = Number.NEGATIVE_INFINITY;
  }

  /** Whether jobs of this database may be dispatched. @throws when Postgres or Redis does not answer. */
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
