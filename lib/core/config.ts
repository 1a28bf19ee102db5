import fs from 'node:fs';
import path from 'node:path';
import type { Config, Locale, ServerUrls } from './config-types';
import type { Environment } from './settings-reader';

export type * from './config-types';

/** The variable that carries the validated config to children, so that it is read and checked once. */
const HANDED_ON = 'CATAMOUNT_CONFIG';

/** @returns the environment; other code reads `process.env` only through this function. */
export function environment(): Environment {
  return process.env;
}

/** Passes this config to children forked from now on, with settings of glibc that keep their memory small. */
export function passConfigToChildren(config: Config): void {
  process.env[HANDED_ON] = JSON.stringify(config);
  // By default glibc gives each thread an arena of its own, and raises its trim threshold after the first large block
  // that is freed, which wastes 5 MB per process. The value here is the initial threshold, which then stays fixed.
  process.env.MALLOC_ARENA_MAX ??= '2';
  process.env.MALLOC_TRIM_THRESHOLD_ ??= '131072';
}

/** @returns true when a primary started this process. */
export function hasInheritedConfig(): boolean {
  return process.env[HANDED_ON] !== undefined;
}

/** @returns the primary's config, frozen. @throws Error when no primary started this process. */
export function inheritedConfig(): Config {
  const json = process.env[HANDED_ON];
  if (json === undefined) throw new Error(`${HANDED_ON} is missing: this process must be started by the primary`);
  return deepFreeze(JSON.parse(json) as Config);
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}

/** @returns the version in Catamount's own package.json, which is found from source and from the build alike. */
export function version(): string {
  for (let folder = __dirname; ; folder = path.dirname(folder)) {
    const file = path.join(folder, 'package.json');
    if (fs.existsSync(file)) {
      const { name, version } = JSON.parse(fs.readFileSync(file, 'utf8')) as { name?: string; version?: string };
      if (name === 'catamount' && version !== undefined) return version;
    }
    if (folder === path.dirname(folder)) return 'unknown';
  }
}

/** The locales that Catamount ships. */
export const LOCALES = ['en', 'ko'] as const satisfies readonly Locale[];

export function isLocale(value: unknown): value is Locale {
  return LOCALES.some((locale) => locale === value);
}

/** The most Postgres connections that this tree may open: the pools of its processes, and one that LISTENs. */
export function connectionsOfTree({ web, jobs, databasePool }: Pick<Config, 'web' | 'jobs' | 'databasePool'>): number {
  // In single mode the primary is the one web process.
  const webProcesses = web.enabled ? Math.max(1, web.concurrency) : 0;
  return webProcesses * databasePool.web + (jobs.enabled ? databasePool.jobs + 1 : 0);
}

/** Old and new processes run side by side during a deploy, so each pool counts twice. */
const GENERATIONS = 2;

/** @param counts of the trees, each the most connections that it may open. @returns the most during a deploy. */
export function sumOverDeploy(counts: readonly number[]): number {
  return GENERATIONS * counts.reduce((sum, count) => sum + count, 0);
}

/** @returns the URLs of the given or embedded servers. @throws Error in a primary that has not settled them yet. */
export function serverUrls(config: Config): ServerUrls {
  if (config.databaseUrl === null || config.redisUrl === null) {
    throw new Error('the primary must settle the database and Redis URLs before it starts its children');
  }
  const { databaseUrl: database, redisUrl: redis, databaseDirectUrl } = config;
  return { database, databaseDirect: databaseDirectUrl ?? database, redis };
}
