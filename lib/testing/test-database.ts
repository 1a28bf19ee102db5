import path from 'node:path';
import type { Knex } from 'knex';
import { environment } from '../core/config';
import { UserError } from '../core/errors';
import { Events } from '../core/events';
import type { EmbeddedServers } from '../embedded/embedded-servers';
import { Database } from '../model/database';
import { migrateUp } from '../model/migrator';
import { Model } from '../model/model';
import { connectTransactions } from '../model/transaction';
import { type AppDefinition, migrationsOf } from '../role/app-definition';
import { Deadline } from '../support/async';

/** The database of a test, and its tables. */
export interface TestDatabaseOptions {
  /**
   * URL of a database that tests may change at will, such as `postgres://localhost/shop_test`. Default: the variable
   * TEST_DATABASE_URL; without one the embedded Postgres, with an empty database of its own in `.catamount/test`.
   */
  readonly url?: string | undefined;
  /** The app's manifest. With it, pending migrations of the app and of Catamount are run. Default: none are run. */
  readonly app?: AppDefinition | undefined;
}

/** Limit for running queries when the database is closed, ms. */
const CLOSE_MS = 5000;

/** Postgres for the models and `transaction()` of an app under test, without booting the app. */
export class TestDatabase {
  private own: Knex.Transaction | undefined;

  /** @internal */
  constructor(
    /**
     * The connection pool.
     * @internal
     */
    readonly database: Database,
    private readonly server?: EmbeddedServers,
  ) {}

  /** True between `begin()` and `rollBack()`. */
  get inTransaction(): boolean {
    return this.own !== undefined;
  }

  /** For the test's own queries; inside the test's transaction, if one is open. */
  get knex(): Knex {
    return this.own ?? this.database.knex;
  }

  /**
   * Opens a transaction that serves as the database of all models and each `transaction()` until `rollBack()` undoes
   * everything. A `transaction()` of the app becomes a savepoint in it. Jobs count as enqueued when the outermost
   * savepoint is released, as if it had been committed.
   * @throws Error when it is open already.
   */
  async begin(): Promise<void> {
    if (this.own) throw new Error('the transaction of the test is open already; roll it back first');
    this.own = await this.database.knex.transaction();
    connect(this.own);
  }

  /** Undoes everything written since `begin()`. Does nothing without a `begin()`. */
  async rollBack(): Promise<void> {
    const { own } = this;
    this.own = undefined;
    connect(this.database.knex);
    if (own && !own.isCompleted()) await own.rollback();
  }

  /** Rolls back, disconnects the models and ends the connections. Idempotent. */
  async close(): Promise<void> {
    await this.rollBack();
    connect(undefined);
    await this.database.stop(Deadline.after(CLOSE_MS));
    await this.server?.stop(Deadline.after(CLOSE_MS));
  }

  /** Calls `close`, at the end of a scope with `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** @throws the error of migrating or connecting. */
export async function openTestDatabase({ url, app }: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const given = url ?? environment().TEST_DATABASE_URL;
  return given ? connectTo(given, app) : openEmbedded(app);
}

async function openEmbedded(app: AppDefinition | undefined): Promise<TestDatabase> {
  const { EmbeddedServers } = await import('../embedded/embedded-servers');
  const stateDir = path.resolve('.catamount/test');
  const server = new EmbeddedServers({ stateDir, needPostgres: true, needRedis: false, events: new Events() });
  try {
    const { databaseUrl = '' } = await server.start();
    return await connectTo(databaseUrl, app, server);
  } catch (error) {
    await server.stop(Deadline.after(CLOSE_MS));
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message}\nOne process of tests at a time has the embedded Postgres (node --test --test-concurrency=1); ` +
        'those that run side by side each need a database of their own, as TEST_DATABASE_URL or as url.',
      error.exitCode,
    );
  }
}

/** @param server the embedded one, whose database is emptied first: it may have had migrations that were changed since. */
async function connectTo(url: string, app: AppDefinition | undefined, server?: EmbeddedServers): Promise<TestDatabase> {
  const database = new Database(url, { production: false, events: new Events() });
  try {
    if (server) await database.knex.raw('drop schema public cascade; create schema public');
    if (app) await migrate(database.knex, app);
    await database.ping(CLOSE_MS);
  } catch (error) {
    await database.stop(Deadline.after(CLOSE_MS));
    throw error;
  }
  connect(database.knex);
  return new TestDatabase(database, server);
}

/** Takes a lock, since test runners start many processes at once, and knex fails in all but one of them. */
async function migrate(knex: Knex, app: AppDefinition): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw("select pg_advisory_xact_lock(hashtext('catamount test migrations'))");
    await migrateUp(knex, migrationsOf(app));
  });
}

function connect(knex: Knex | undefined): void {
  connectTransactions(knex);
  // objection allows undefined here, although its types do not.
  Model.knex(knex as Knex);
}
