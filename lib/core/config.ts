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

/** Whose word on a request's caller, scheme and age is believed: of so many proxies in front, or of these addresses. */
export type TrustedProxies = { readonly hops: number } | { readonly addresses: readonly string[] };

/** Everything the environment decides, validated whole and frozen. Read once by the primary, handed on to each child. */
export interface Config {
  readonly environment: 'production' | 'development' | 'test';
  /** Folder of local state (`.catamount/`): data of the embedded servers, mails, control socket. */
  readonly stateDir: string;
  readonly onHeroku: boolean;
  readonly trustProxy: TrustedProxies;
  /** Where this tree runs, for people (the dyno, or the host) and for its history (the same after a restart). */
  readonly tree: { readonly name: string; readonly place: string };
  readonly listen: ListenAddress;
  readonly web: {
    readonly enabled: boolean;
    /** Number of forked workers; 0 = the primary serves the web itself. */
    readonly concurrency: number;
    /** How `auto` came to that number; null when it was given. */
    readonly sizing: string | null;
    /** Requests in flight per worker. */
    readonly maxThreads: number;
    /** Requests waiting per worker. */
    readonly backlog: number;
    readonly queueTimeoutMs: number;
    /** A caller who takes nothing of an answer for this long is cut off. */
    readonly writeTimeoutMs: number;
    readonly workerTimeoutMs: number;
    readonly bootTimeoutMs: number;
  };
  readonly shutdownTimeoutMs: number;
  readonly memoryLimitMb: number | null;
  /** null without a limit. */
  readonly heapCaps: HeapCaps | null;
  readonly jobs: {
    readonly enabled: boolean;
    /** Jobs running at once, over all queues. */
    readonly concurrency: number;
    readonly queues: readonly QueueSetting[];
    /** false: strict order, the first queue always goes first. */
    readonly weighted: boolean;
    /** A queue whose oldest job has waited for longer is warned of, ms. 0: never. */
    readonly latencyWarningMs: number;
  };
  /** null = start an embedded server (never in production). */
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  readonly mail: {
    readonly delivery: MailDelivery;
    readonly smtpUrl: string | null;
    readonly from: string;
    /** Where `file` delivery writes. */
    readonly dir: string;
  };
  /** How many may sign up from one address, with mailboxes of one domain, and with one mailbox; null: as many as like. */
  readonly signUps: {
    readonly perAddress: Rate | null;
    readonly perDomain: Rate | null;
    readonly perMailbox: Rate | null;
  };
  readonly appUrl: string;
  readonly defaultLocale: Locale;
  /** Who may see the operator's pages; null: in production nobody, elsewhere who has `opsToken` and is at this machine. */
  readonly ops: {
    readonly user: string;
    readonly password: string;
    /** Lets in a viewer, who sees no arguments and no addresses and changes nothing. */
    readonly viewerPassword: string | null;
    /** Signs sessions; null: a random key that is kept in Postgres does. */
    readonly secret: string | null;
  } | null;
  /** Opens the operator's pages where nobody signs in; the log of the start tells it. null: somebody does, or nobody may. */
  readonly opsToken: string | null;
  /** Who may read /ops/metrics; null: in production nobody, elsewhere whoever is at this machine. */
  readonly metricsToken: string | null;
  readonly control: { readonly socket: string; readonly stateFile: string };
  readonly log: {
    readonly level: string;
    readonly format: 'pretty' | 'json';
    /** The file that standard output was redirected to. */
    readonly file: string | null;
  };
  /** Odd but legal settings, each a sentence for the log. */
  readonly warnings: readonly string[];
}

/** Carries the validated config from the primary to its children, so that it is read and checked once. */
const HANDED_ON = 'CATAMOUNT_CONFIG';

/** The one place that touches `process.env`. */
export function environment(): Environment {
  return process.env;
}

/** Children forked from now on find this config instead of validating the environment again, and keep their memory small. */
export function passConfigToChildren(config: Config): void {
  process.env[HANDED_ON] = JSON.stringify(config);
  // glibc would give each of a process's threads an arena of its own, and after the first large block would keep more and
  // more of what is freed: 5 MB a process that nobody uses. The threshold is the one that it begins with.
  process.env.MALLOC_ARENA_MAX ??= '2';
  process.env.MALLOC_TRIM_THRESHOLD_ ??= '131072';
}

/** Whether a primary started this process. */
export function hasInheritedConfig(): boolean {
  return process.env[HANDED_ON] !== undefined;
}

/** The config the primary handed on, frozen. */
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

/** The version in Catamount's own package.json, found from source and from the build alike. */
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

/** The locales that ship. */
export const LOCALES = ['en', 'ko'] as const;
export type Locale = (typeof LOCALES)[number];

export function isLocale(value: unknown): value is Locale {
  return LOCALES.some((locale) => locale === value);
}

/** The URLs that every role but the primary may rely on: given in the environment, or of the embedded servers. */
export function serverUrls(config: Config): { readonly database: string; readonly redis: string } {
  if (config.databaseUrl === null || config.redisUrl === null) {
    throw new Error('the primary must settle the database and Redis URLs before it starts its children');
  }
  return { database: config.databaseUrl, redis: config.redisUrl };
}
