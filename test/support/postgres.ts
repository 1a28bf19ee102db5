import fs from 'node:fs';
import path from 'node:path';
import createKnex from 'knex';
import pg from 'pg';
import { ORIGIN_SQL } from '../../lib/job/row/installation';
import { migrateUp } from '../../lib/model/migrator';
import { migrationsIn } from './migrations';
import { sharedPostgres } from './shared-servers';
import { LANE } from './temp-folder';

const ROOT = path.resolve(__dirname, '../..');
/** The folders with the migrations of Catamount and of the sample app. */
const ALL_FOLDERS = ['lib/job/migrations', 'lib/mailer/migrations', 'lib/ops/migrations', 'migrations'];

export interface TestDatabase {
  readonly url: string;
  /** Runs one statement on its own connection, and returns the rows. */
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
const made = new Set<string>();
let count = 0;

/** Creates a database on the run's shared Postgres. Cloning a template makes it cheap enough for every test. */
export async function createDatabase({ migrated = false }: DatabaseOptions = {}): Promise<TestDatabase> {
  const folders = migrated === true ? ALL_FOLDERS : migrated === false ? [] : migrated;
  const template = folders.length === 0 ? 'template1' : await migratedTemplate(folders);
  const name = `${PREFIX}${++count}`;
  made.add(name);
  await administer(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  const database = databaseAt(await urlOf(name), () => drop(name));
  // Otherwise its jobs would be those of the template.
  if (folders.includes('lib/job/migrations'))
    await database.query(`update job_installation set origin = (select ${ORIGIN_SQL})`);
  return database;
}

export function databaseAt(url: string, drop: () => Promise<void>): TestDatabase {
  return { url, query: (sql, values) => query(url, sql, values), drop };
}

/** @returns the databases of this lane that have not been dropped. */
export function leftoverDatabases(): readonly string[] {
  return [...made];
}

/** Drops them, so that the next file of the lane does not fail because of what this one has left behind. */
export async function dropLeftoverDatabases(): Promise<void> {
  for (const name of leftoverDatabases()) await drop(name);
}

async function drop(name: string): Promise<void> {
  await administer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
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
