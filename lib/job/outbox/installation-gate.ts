import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { type Installation, idInDatabase, readInstallation } from './installation';

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
