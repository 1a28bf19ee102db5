import type { Config } from '../../core/config';
import { untestedNode } from '../../core/errors';
import { errorFinding, type Finding, warningFinding } from '../../core/finding';
import type { Database } from '../../model/database';
import type { Migrations } from '../../model/migrations';
import { toError } from '../../support/to-error';
import type { AppParts } from './app-parts';
import type { RedisContext } from './redis';

/**
 * When a check is made. `start`: an error in the app, or in Redis, refuses the start; other findings are logged. `ready`: in
 * production /ready waits until nothing has been found once. `serving`: from then on a finding degrades /ready. The other
 * places are commands.
 */
export type When = 'start' | 'ready' | 'serving' | 'check' | 'doctor';

export interface PostgresContext {
  readonly config: Config;
  readonly migrations: Migrations;
  readonly database: Pick<Database, 'knex' | 'url'>;
  /** The most connections that each other tree may open. Default: there is no other. */
  readonly otherTrees?: readonly number[];
}

/** Where checks look, and what they are given there. */
interface Contexts {
  readonly machine: { readonly root: string };
  readonly settings: { readonly config: Config };
  readonly app: AppParts;
  readonly postgres: PostgresContext;
  readonly redis: RedisContext;
}

/** A finding with the id that it, or its check, has. */
export type FindingWithId = Finding & { readonly id: string };

interface Check<C> {
  /** The id of the findings, too, unless one has its own. `catamount doctor --json` prints it. */
  readonly name: string;
  readonly when: readonly When[];
  readonly run: (context: C) => readonly Finding[] | Promise<readonly Finding[]>;
}

// Loaded when they are needed: most processes make a few checks.
const machineChecks = () => import('./machine');
const postgres = () => import('./postgres');
const redis = () => import('./redis');
const manifest = () => import('./manifest');
const APP = ['start', 'check'] as const;

/** Everything that is checked, by where it is looked for. To add a check, add a line. */
const CHECKS: { readonly [P in keyof Contexts]: readonly Check<Contexts[P]>[] } = {
  machine: [
    { name: 'untested_node', when: ['start', 'doctor'], run: () => untestedNode().map((text) => warningFinding(text)) },
    { name: 'procfile', when: ['doctor'], run: async (it) => (await machineChecks()).procfile(it) },
  ],
  settings: [
    {
      name: 'doubtful_setting',
      when: ['start', 'doctor'],
      run: (it) => it.config.warnings.map((text) => warningFinding(text)),
    },
    { name: 'redis_off', when: ['check', 'doctor'], run: async (it) => (await machineChecks()).withoutRedis(it) },
    { name: 'memory_over_limit', when: ['doctor'], run: async (it) => (await machineChecks()).memory(it) },
    // A start reads them itself.
    { name: 'tls_files', when: ['check', 'doctor'], run: async (it) => (await machineChecks()).tlsFiles(it) },
    { name: 'unchecked_tls', when: ['doctor'], run: async (it) => (await machineChecks()).uncheckedTls(it) },
    { name: 'smtp', when: ['doctor'], run: async (it) => (await import('./mail-server')).mailServer(it.config.mail) },
  ],
  app: [
    { name: 'manifest', when: APP, run: async ({ app }) => (await manifest()).manifestMistakes(app) },
    { name: 'job_setup', when: APP, run: async (it) => (await it.jobSetup()).found },
    { name: 'web_options', when: APP, run: async (it) => (await it.webOptions()).found },
    { name: 'mail_setup', when: APP, run: async (it) => (await it.mailSetup()).found },
    { name: 'delivery_method', when: APP, run: (it) => it.deliveryMethod() },
    { name: 'models', when: APP, run: async (it) => (await it.models()).found },
    { name: 'jobs', when: APP, run: async (it) => (await it.jobs()).found },
    { name: 'schedules', when: APP, run: async (it) => (await it.schedules()).found },
    { name: 'equal_migrations', when: APP, run: (it) => it.equalMigrations() },
    { name: 'mailers', when: APP, run: async (it) => (await it.mailers()).found },
    { name: 'encryption', when: APP, run: (it) => it.encryption() },
    { name: 'threads', when: APP, run: (it) => it.threads() },
    { name: 'previews', when: APP, run: async (it) => (await it.previews()).found },
    { name: 'texts', when: APP, run: async (it) => (await it.texts()).found },
    { name: 'mails', when: APP, run: (it) => it.mails() },
    // A start meets the mistakes of these two itself.
    { name: 'routes', when: ['check'], run: async (it) => (await it.routes()).found },
    { name: 'broken_migrations', when: ['check'], run: (it) => it.brokenMigrations() },
  ],
  postgres: [
    {
      name: 'pending_migration',
      when: ['start', 'check', 'doctor', 'ready'],
      run: async (it) => (await postgres()).pending(it),
    },
    { name: 'too_many_connections', when: ['start', 'doctor'], run: async (it) => (await postgres()).connections(it) },
    { name: 'pooler', when: ['doctor'], run: async (it) => (await postgres()).pooler(it) },
    { name: 'writes', when: ['ready', 'serving'], run: async (it) => (await postgres()).writes(it) },
    { name: 'installation', when: ['serving'], run: async (it) => (await postgres()).copied(it) },
  ],
  redis: [
    { name: 'redis_version', when: ['start', 'doctor'], run: async (it) => (await redis()).version(it) },
    { name: 'redis_cluster', when: ['start', 'doctor'], run: async (it) => (await redis()).cluster(it) },
    { name: 'proxy_not_trusted', when: ['doctor'], run: async (it) => (await redis()).proxies(it) },
    { name: 'redis_eviction', when: ['start', 'doctor'], run: async (it) => (await redis()).eviction(it) },
  ],
};

/**
 * Makes the checks of one place, in their order. What two of them find is reported once.
 * @param onError gets the error of a check that could not be made. Default: it is thrown.
 */
export async function findings<P extends keyof Contexts>(
  place: P,
  when: When,
  context: Contexts[P],
  onError: (error: Error) => readonly Finding[] = (error) => {
    throw error;
  },
): Promise<FindingWithId[]> {
  const found: FindingWithId[] = [];
  const checks: readonly Check<Contexts[P]>[] = CHECKS[place];
  for (const { name, run } of checks.filter((check) => check.when.includes(when))) {
    const own = await Promise.resolve(context)
      .then(run)
      .catch((thrown) => onError(toError(thrown)));
    for (const each of own) {
      // A mistake in one class may be found again, without its file, when all classes are checked together.
      if (!found.some(({ text }) => text.endsWith(each.text))) found.push({ id: name, ...each });
    }
  }
  return found;
}

/** @returns a finding for an error that was thrown, such as that of a server that does not answer. */
export function thrownFinding(id: string, thrown: unknown): FindingWithId {
  return { ...errorFinding(toError(thrown).message), id };
}
