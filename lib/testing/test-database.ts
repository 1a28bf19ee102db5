import type { Knex } from 'knex';
import { Events } from '../core/events';
import { Database } from '../model/database';
import { migrateUp } from '../model/migrator';
import { Model } from '../model/model';
import { connectTransactions } from '../model/transaction';
import { type AppDefinition, migrationFolders } from '../role/app-definition';
import { Deadline } from '../support/async';

export interface TestDatabaseOptions {
  /** Of a database that tests may do anything to: `postgres://localhost/shop_test`. */
  readonly url: string;
  /** The app's manifest: migrations that have not run yet, of the app and of Catamount, are run. Default: none are. */
  readonly app?: AppDefinition | undefined;
}

/** How long queries that still run may take when it is closed, ms. */
const CLOSE_MS = 5000;

/** Postgres for the models and `transaction()` of an app under test, with nothing booted. */
export class TestDatabase {
  private own: Knex.Transaction | undefined;

  constructor(
    /** Its pool. */
    readonly database: Database,
  ) {}

  /** Whether `begin()` has opened a transaction. */
  get inTransaction(): boolean {
    return this.own !== undefined;
  }

  /** For queries of the test's own; inside the test's transaction, if there is one. */
  get knex(): Knex {
    return this.own ?? this.database.knex;
  }

  /**
   * Opens a transaction that all models and each `transaction()` take for the database, until `rollBack()`: whatever a
   * test writes is gone then, and a `transaction()` of the app is a savepoint. Jobs count as enqueued when the outermost of
   * those is released, as if it had been committed.
   */
  async begin(): Promise<void> {
    if (this.own) throw new Error('the transaction of the test is open already; roll it back first');
    this.own = await this.database.knex.transaction();
    connect(this.own);
  }

  /** Takes back all that was written since `begin()`. Nothing where that was not called. */
  async rollBack(): Promise<void> {
    const { own } = this;
    this.own = undefined;
    connect(this.database.knex);
    if (own && !own.isCompleted()) await own.rollback();
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.rollBack();
    connect(undefined);
    await this.database.stop(Deadline.after(CLOSE_MS));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** @throws what migrating or connecting does. */
export async function openTestDatabase({ url, app }: TestDatabaseOptions): Promise<TestDatabase> {
  const database = new Database(url, { production: false, events: new Events() });
  try {
    if (app) await migrate(database.knex, app);
    await database.ping(CLOSE_MS);
  } catch (error) {
    await database.stop(Deadline.after(CLOSE_MS));
    throw error;
  }
  connect(database.knex);
  return new TestDatabase(database);
}

/** One at a time: test runners start many processes at once, and knex refuses all but one of them. */
async function migrate(knex: Knex, app: AppDefinition): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw("select pg_advisory_xact_lock(hashtext('catamount test migrations'))");
    await migrateUp(knex, migrationFolders(app));
  });
}

function connect(knex: Knex | undefined): void {
  connectTransactions(knex);
  // objection's types know no way back, its code does.
  Model.knex(knex as Knex);
}
