import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { Config, ServerUrls, ShippedLocale } from './config-types';
import type { Environment } from './settings-reader';

export type * from './config-types';

/** The variable that carries the validated config to children, so that it is read and checked once. */
const CONFIG_VARIABLE = 'CATAMOUNT_CONFIG';

/** `boot` sets this on `globalThis`, since it may belong to another copy of Catamount than the command that looks for it. */
export const BOOTED = Symbol.for('catamount.booted');

/** @returns the environment; other code reads `process.env` only through this function. */
export function environment(): Environment {
  return process.env;
}

/** Reads these variables and removes them, so that no child inherits them. */
export function takeVariables<Name extends string>(names: readonly Name[]): Readonly<Partial<Record<Name, string>>> {
  const taken = Object.fromEntries(names.map((name) => [name, process.env[name]]));
  for (const name of names) Reflect.deleteProperty(process.env, name);
  return taken as Partial<Record<Name, string>>;
}

/** Passes this config to children forked from now on, with settings of glibc that keep their memory small. */
export function passConfigToChildren(config: Config): void {
  process.env[CONFIG_VARIABLE] = JSON.stringify(config);
  // By default glibc gives each thread an arena of its own, and raises its trim threshold after the first large block
  // that is freed, which wastes 5 MB per process. The value here is the initial threshold, which then stays fixed.
  process.env.MALLOC_ARENA_MAX ??= '2';
  process.env.MALLOC_TRIM_THRESHOLD_ ??= '131072';
}

/** @returns true when a primary started this process. */
export function hasInheritedConfig(): boolean {
  return process.env[CONFIG_VARIABLE] !== undefined;
}

/** @returns the primary's config, frozen. @throws Error when no primary started this process. */
export function inheritedConfig(): Config {
  const json = process.env[CONFIG_VARIABLE];
  if (json === undefined) throw new Error(`${CONFIG_VARIABLE} is missing: this process must be started by the primary`);
  return deepFreeze(JSON.parse(json) as Config);
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}

/** @returns the folder of Catamount's own package.json, which is found from source and from the build alike. */
export function ownRoot(): string {
  let folder = __dirname;
  while (manifestIn(folder)?.name !== 'catamount' && folder !== path.dirname(folder)) folder = path.dirname(folder);
  return folder;
}

export function version(): string {
  return manifestIn(ownRoot())?.version ?? 'unknown';
}

function manifestIn(folder: string): { readonly name?: string; readonly version?: string } | undefined {
  const file = path.join(folder, 'package.json');
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : undefined;
}

/** The locales that Catamount itself has texts in. */
export const LOCALES = ['en', 'ko'] as const satisfies readonly ShippedLocale[];

/** The most Postgres connections that this tree may open: the pools of its processes, one that LISTENs, and one of each thread. */
export function connectionsOfTree({ web, jobs, databasePool }: Pick<Config, 'web' | 'jobs' | 'databasePool'>): number {
  const webProcesses = web.enabled ? web.concurrency : 0;
  return webProcesses * databasePool.web + (jobs.enabled ? databasePool.jobs + 1 + (jobs.threads ?? 0) : 0);
}

/** @returns which parts of the tree run in the primary's own process; `all`: web and jobs. */
export function inlineParts({
  web,
  jobs,
}: Pick<Config, 'web' | 'jobs'>): Readonly<Record<'web' | 'jobs' | 'all', boolean>> {
  const parts = { web: web.enabled && web.inline === true, jobs: jobs.enabled && jobs.inline === true };
  return { ...parts, all: parts.web && parts.jobs };
}

/** Old and new processes run side by side during a deploy, so each pool counts twice. */
const GENERATIONS = 2;

/** @param counts of the trees, each the most connections that it may open. @returns the most during a deploy. */
export function sumOverDeploy(counts: readonly number[]): number {
  return GENERATIONS * counts.reduce((sum, count) => sum + count, 0);
}

/** @returns the URLs of the given or embedded servers. @throws Error in a primary that has not settled them yet. */
export function serverUrls(config: Config): ServerUrls {
  const { databaseUrl: database, redisUrl: redis, redisOff, databaseDirectUrl } = config;
  if (database === null || (redis === null && !redisOff)) {
    throw new Error('the primary must settle the database and Redis URLs before it starts its children');
  }
  return { database, databaseDirect: databaseDirectUrl ?? database, redis };
}

export const DEFAULT_SCHEMA = 'public';

/**
 * Catamount's tables and NOTIFY channels as statements name them. Statements read them where they run, never while a
 * module loads: `useSchema` may come later.
 */
export const TABLES = {
  /** undefined: the tables are named without a schema, and found by the search path. */
  schema: undefined as string | undefined,
  jobs: 'job_queue',
  dead: 'job_dead',
  finished: 'job_finished',
  cron: 'job_cron',
  processes: 'job_processes',
  pauses: 'job_pauses',
  rates: 'job_rates',
  batches: 'job_batches',
  stats: 'job_stats',
  installation: 'job_installation',
  deliveries: 'mail_deliveries',
  signOuts: 'ops_sign_outs',
  alerts: 'ops_alerts',
  audit: 'ops_audit',
  log: 'ops_log',
  deploys: 'ops_deploys',
  /** The channel for jobs that no hint in Redis announces, and for what else job processors should look at. */
  channel: 'job_queue',
  /** The channel on which a listener finds out whether notifications reach it; the payload is its token. */
  echoChannel: 'job_queue_echo',
  /**
   * The channel on which the leading dispatcher reports each look: its id, and ms until it looks again. At its end it sends ''.
   */
  leaderChannel: 'job_queue_leader',
};

const UNQUALIFIED = { ...TABLES };
const CHANNELS = ['channel', 'echoChannel', 'leaderChannel'] as const;

/**
 * Makes all statements of this process name Catamount's tables with a schema, whatever the search path, which a pooler in
 * transaction mode does not keep for a session. A channel's name gets a hash of the schema instead, since Postgres allows it 63
 * bytes only.
 * @param schema lower-case letters, digits and _.
 */
export function useSchema(schema: string): void {
  Object.assign(TABLES, UNQUALIFIED);
  if (schema === DEFAULT_SCHEMA) return;
  const { schema: _, ...names } = UNQUALIFIED;
  for (const key of Object.keys(names) as (keyof typeof names)[]) TABLES[key] = `"${schema}".${names[key]}`;
  const suffix = createHash('sha256').update(schema).digest('hex').slice(0, 12);
  for (const key of CHANNELS) TABLES[key] = `${names[key]}_${suffix}`;
  TABLES.schema = schema;
}
