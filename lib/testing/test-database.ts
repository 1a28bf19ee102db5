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
import { type AppDefinition, findMigrations } from '../role/app/app-definition';
import { Deadline } from '../support/deadline';

/** Options of `useTestDatabase`. */
export interface TestDatabaseOptions {
  /**
   * URL of a database that tests may change at will, such as `postgres://localhost/shop_test`. Default: the environment
   * variable TEST_DATABASE_URL, or else an embedded Postgres in `.catamount/test`, whose database is emptied first.
   */
  readonly url?: string | undefined;
  /** The app, whose pending migrations and those of Catamount are run. Default: no migrations are run. */
  readonly app?: AppDefinition | undefined;
}

/** Timeout for queries that are running when the database is closed, ms. */
const CLOSE_MS = 5000;

/** Postgres for the models and `transaction()` of an app under test, without booting the app. */
export class TestDatabase {
  private own: Knex.Transaction | undefined;

  /** @internal */
  constructor(
    private readonly database: Database,
    private readonly server?: EmbeddedServers,
  ) {}

  /** For the test's own queries. They run inside the test's transaction, if one is open. */
  get knex(): Knex {
    return this.own ?? this.database.knex;
  }

  /**
   * Opens a transaction that all models and every `transaction()` use until `rollBack()` undoes everything. A
   * `transaction()` of the app becomes a savepoint in it. Jobs count as enqueued when the outermost savepoint is
   * released, as if it had been committed.
   * @throws Error if it is already open.
   */
  async begin(): Promise<void> {
    if (this.own) throw new Error("the test's transaction is already open; roll it back first");
    this.own = await this.database.knex.transaction();
    connect(this.own);
  }

  /** Undoes everything that has been written since `begin()`. Does nothing without a `begin()`. */
  async rollBack(): Promise<void> {
    const { own } = this;
    this.own = undefined;
    connect(this.database.knex);
    if (own && !own.isCompleted()) await own.rollback();
  }

  /** Rolls back, disconnects the models and closes the connections. Idempotent. */
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

/** @throws the error of connecting or migrating. */
export async function openTestDatabase({ url, app }: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const databaseUrl = url ?? environment().TEST_DATABASE_URL;
  return databaseUrl ? connectTo(databaseUrl, app) : openEmbedded(app);
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
      `${error.message}\nOnly one test process at a time can use the embedded Postgres (node --test --test-concurrency=1); ` +
        'test processes that run in parallel each need their own database, as TEST_DATABASE_URL or as url.',
      error.exitCode,
    );
  }
}

/** @param server the embedded one. Its database is emptied first, since its migrations may have been edited. */
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

/** Takes a lock, since test runners start many processes at once, and without it knex would fail in all but one. */
async function migrate(knex: Knex, app: AppDefinition): Promise<void> {
  await knex.transaction(async (trx) => {
    await trx.raw("select pg_advisory_xact_lock(hashtext('catamount test migrations'))");
    await migrateUp(knex, findMigrations(app));
  });
}

function connect(knex: Knex | undefined): void {
  connectTransactions(knex);
  // Objection allows undefined here, although its types do not.
  Model.knex(knex as Knex);
}
