import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { type Installation, readInstallation } from './installation';

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

  constructor(private readonly options: InstallationGateOptions) {}

  /** By the last look. */
  get isForeign(): boolean {
    return this.foreign;
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
    this.readAt = now;
    if (!this.isOpen && !this.foreign) onForeign(installation);
    this.foreign = !this.isOpen;
    return this.isOpen;
  }
}
