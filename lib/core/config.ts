import fs from 'node:fs';
import path from 'node:path';
import type { Rate } from '../support/duration';
import type { HeapCaps } from './memory-plan';
import type { Environment } from './settings-reader';

export interface QueueSetting {
  readonly name: string;
  /** 1 unless the queues are weighted. */
  readonly weight: number;
}

export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export type MailDelivery = 'smtp' | 'file' | 'log' | 'test';

/** The proxies whose headers on a request's caller, scheme and age are trusted: a number of hops, or addresses. */
export type TrustedProxies = { readonly hops: number } | { readonly addresses: readonly string[] };

/** All settings, validated and frozen. The primary reads them once and passes them to each child. */
export interface Config {
  readonly environment: 'production' | 'development' | 'test';
  /** Folder of local state (`.catamount/`): data of the embedded servers, mails, control socket. */
  readonly stateDir: string;
  readonly onHeroku: boolean;
  readonly trustProxy: TrustedProxies;
  /** The tree's name for people (the dyno, or the host), and the key of its history, the same after a restart. */
  readonly tree: { readonly name: string; readonly place: string };
  readonly listen: ListenAddress;
  readonly web: {
    readonly enabled: boolean;
    /** Number of forked workers; 0 = the primary serves the web itself. */
    readonly concurrency: number;
    /** The calculation of that number for `auto`; null when it was given. */
    readonly sizing: string | null;
    /** Maximum number of requests in flight per worker. */
    readonly maxThreads: number;
    /** Maximum number of waiting requests per worker. */
    readonly backlog: number;
    readonly queueTimeoutMs: number;
    /** Maximum size of a body that we read, bytes. */
    readonly bodyLimitBytes: number;
    /** A caller has this long to send the head of a request; never longer than `requestTimeoutMs`. */
    readonly headerTimeoutMs: number;
    /** A caller has this long to send a request, body included. */
    readonly requestTimeoutMs: number;
    /** A caller who reads nothing of a response for this long is disconnected. */
    readonly writeTimeoutMs: number;
    readonly workerTimeoutMs: number;
    readonly bootTimeoutMs: number;
  };
  readonly shutdownTimeoutMs: number;
  readonly memoryLimitMb: number | null;
  /** null without a memory limit. */
  readonly heapCaps: HeapCaps | null;
  readonly jobs: {
    readonly enabled: boolean;
    /** Maximum number of running jobs, over all queues. */
    readonly concurrency: number;
    readonly queues: readonly QueueSetting[];
    /** false: strict order, the first queue always goes first. */
    readonly weighted: boolean;
    /** Latency of a queue above which a warning is logged, ms. 0: never. */
    readonly latencyWarningMs: number;
  };
  /** null: an embedded server is started (never in production). */
  readonly databaseUrl: string | null;
  /** Leads past a pooler to Postgres itself, for LISTEN and migrations; null: `databaseUrl` does. */
  readonly databaseDirectUrl: string | null;
  /** Postgres connections of one web worker, and of the job processor, besides the one that LISTENs. */
  readonly databasePool: { readonly web: number; readonly jobs: number };
  readonly redisUrl: string | null;
  /** Keeps the keys of several apps on one Redis apart, and those of one app in one slot of a cluster; null: no prefix. */
  readonly redisPrefix: string | null;
  readonly mail: {
    readonly delivery: MailDelivery;
    readonly smtpUrl: string | null;
    readonly from: string;
    /** The folder that `file` delivery writes to. */
    readonly dir: string;
  };
  /** Rate limits of sign-ups from one address, for mailboxes of one domain, and for one mailbox; null: no limit. */
  readonly signUps: {
    readonly perAddress: Rate | null;
    readonly perDomain: Rate | null;
    readonly perMailbox: Rate | null;
  };
  readonly appUrl: string;
  readonly defaultLocale: Locale;
  /** Access to the operator's pages. null: in production nobody, elsewhere holders of `opsToken` on this machine. */
  readonly ops: {
    readonly user: string;
    readonly password: string;
    /** Password of viewers, who see no arguments and no addresses and change nothing; null: there are none. */
    readonly viewerPassword: string | null;
    /** Key that signs sessions; null: a random key that is kept in Postgres. */
    readonly secret: string | null;
  } | null;
  /**
   * Opens the operator's pages without signing in; the log shows it at the start. null: signing in is required or off.
   */
  readonly opsToken: string | null;
  /** Bearer token for /ops/metrics; null: in production nobody may read it, elsewhere anybody on this machine. */
  readonly metricsToken: string | null;
  readonly control: { readonly socket: string; readonly stateFile: string };
  readonly log: {
    readonly level: string;
    readonly format: 'pretty' | 'json';
    /** The file that standard output was redirected to. */
    readonly file: string | null;
  };
  /** true: in production a web is ready although migrations are pending (`--allow-pending`). */
  readonly allowPending?: boolean;
  /** true: a job processor of this tree has booted before this process was started. */
  readonly jobsBooted?: boolean;
  /** Doubtful but valid settings, each a sentence for the log. */
  readonly warnings: readonly string[];
}

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
export const LOCALES = ['en', 'ko'] as const;
export type Locale = (typeof LOCALES)[number];

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

export interface ServerUrls {
  readonly database: string;
  /** The same as `database` where no pooler is in between. */
  readonly databaseDirect: string;
  readonly redis: string;
}
