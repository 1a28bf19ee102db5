import fs from 'node:fs';
import path from 'node:path';
import createKnex from 'knex';
import pg from 'pg';
import { ORIGIN_SQL } from '../../lib/job/row/installation';
import { migrateUp } from '../../lib/model/migrator';
import { migrationsIn } from './migrations';
import { sharedPostgres } from './shared-servers';
import { type Origin, SpareDatabases } from './spare-databases';
import { LANE } from './temp-folder';

const ROOT = path.resolve(__dirname, '../..');
/** The folders with the migrations of Catamount and of the sample app. */
const ALL_FOLDERS = ['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations', 'migrations'];

export interface TestDatabase {
  readonly url: string;
  /** Runs one statement outside any transaction, beside any other, and returns the rows. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** Closes all connections to the database and drops it. */
  drop(): Promise<void>;
}

export interface DatabaseOptions {
  /** true runs all migrations; an array names the folders to run, relative to the root. Missing ones are skipped. */
  readonly migrated?: boolean | readonly string[];
}

/** The lane is part of the name, since other lanes create and drop databases on the same server. */
const PREFIX = `lane_${LANE}_`;
const templates = new Map<string, Promise<string>>();
/** Those in use, with the test's own connections to them. */
const made = new Map<string, pg.Pool>();
const spares = new SpareDatabases(PREFIX, urlOf);
let count = 0;

/** Creates a database on the run's shared Postgres, or takes one that an earlier test has finished with. */
export async function createDatabase({ migrated = false }: DatabaseOptions = {}): Promise<TestDatabase> {
  const folders = migrated === true ? ALL_FOLDERS : migrated === false ? [] : migrated;
  const template = folders.length === 0 ? 'template1' : await migratedTemplate(folders);
  const name = `${PREFIX}${++count}`;
  const url = await urlOf(name);
  const pool = new pg.Pool({ connectionString: url, max: 20, idleTimeoutMillis: 0 });
  // Whoever ends all connections to a database ends those of the test, too.
  pool.on('error', () => undefined);
  made.set(name, pool);
  const taken = await spares.take(template, name);
  if (taken === undefined) {
    await administer(`CREATE DATABASE ${name} TEMPLATE ${template}`);
    // Otherwise its jobs would be those of the template.
    if (folders.includes('lib/job/migrations'))
      await pool.query(`update job_installation set origin = (select ${ORIGIN_SQL})`);
  }
  const origin = taken ?? (folders.length === 0 ? undefined : await spares.originOf(name, template));
  return {
    url,
    query: async <Row extends pg.QueryResultRow>(sql: string, values?: unknown[]) =>
      (await pool.query<Row>(sql, values)).rows,
    drop: () => finish(name, origin),
  };
}

export function databaseAt(url: string, drop: () => Promise<void>): TestDatabase {
  return { url, query: (sql, values) => query(url, sql, values), drop };
}

/** @returns the databases of this lane that have not been dropped. */
export function leftoverDatabases(): readonly string[] {
  return [...made.keys()];
}

/** Drops them, so that the next file of the lane does not fail because of what this one has left behind. */
export async function dropLeftoverDatabases(): Promise<void> {
  for (const name of leftoverDatabases()) await finish(name);
}

/** @param origin undefined: it is dropped. Otherwise it is kept for the next, if only its rows have changed. */
async function finish(name: string, origin?: Origin): Promise<void> {
  const pool = made.get(name);
  if (pool === undefined) return;
  const closed = pool.end();
  const kept = origin !== undefined && (await spares.keep(name, origin).catch(() => false));
  if (!kept) await administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  await closed;
  made.delete(name);
}

function migratedTemplate(folders: readonly string[]): Promise<string> {
  const key = folders.join();
  const template = templates.get(key) ?? makeTemplate(`${PREFIX}template_${templates.size + 1}`, folders);
  templates.set(key, template);
  return template;
}

async function makeTemplate(name: string, folders: readonly string[]): Promise<string> {
  await administer(`CREATE DATABASE ${name}`);
  const knex = createKnex({ client: 'pg', connection: await urlOf(name), pool: { min: 0, max: 1 } });
  try {
    const existing = folders.map((folder) => path.resolve(ROOT, folder)).filter((folder) => fs.existsSync(folder));
    await migrateUp(knex, migrationsIn(existing));
  } finally {
    await knex.destroy();
  }
  return name;
}

async function urlOf(database: string): Promise<string> {
  const url = new URL(await sharedPostgres());
  url.pathname = database;
  return url.toString();
}

async function administer(sql: string): Promise<void> {
  await query(await sharedPostgres(), sql);
}

async function query<Row extends pg.QueryResultRow>(url: string, sql: string, values?: unknown[]): Promise<Row[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end();
  }
}
