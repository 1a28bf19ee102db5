import fs from 'node:fs';
import path from 'node:path';
import { readArguments } from '../../core/command-line';
import { type Config, connectionsOfTree, sumOverDeploy } from '../../core/config';
import { EXIT, untestedNode } from '../../core/errors';
import { BASE_MB, WORKER_MB } from '../../core/memory-plan';
import type { Redis } from '../../core/redis';
import { readInfo } from '../../core/redis-script';
import { postgresTls, redisTlsMode } from '../../core/tls';
import { readAllowedConnections } from '../../model/database';
import { pendingMigrations } from '../../model/migrations';
import { toError } from '../../support/async';
import { type AppDefinition, migrationsOf } from '../app/app-definition';
import { WITHOUT_REDIS } from '../app/own-settings';
import { findingsOfMail, findingsOfPooler, findingsOfProxies, type Symptom, symptom } from '../checks/doctor-findings';
import { AppConnection } from '../connect/connection';

/** @param message a sentence that contains the remedy. */
const said = (severity: Symptom['severity'], id: string, message: string) => symptom(severity, id, message, '');

/**
 * `catamount doctor [--json]`: checks the environment in which the app will run, and says what to do about each problem.
 * With `--json` it prints `{ findings: Symptom[] }`. Exit code 1: there is a problem.
 * @throws UserError for wrong usage.
 */
export async function runDoctor(
  app: AppDefinition,
  args: readonly string[],
  readConfig: () => Promise<Config>,
): Promise<void> {
  const { json } = readArguments('doctor', { args, options: { json: { type: 'boolean' } } }).values;
  const notes: string[] = [];
  const findings = untestedNode().map((message) => said('warning', 'untested_node', message));
  const add = (id: string) => (thrown: unknown) => void findings.push(said('error', id, toError(thrown).message));
  const config = await readConfig().catch(add('wrong_settings'));
  if (config) {
    findings.push(...config.warnings.map((message) => said('warning', 'doubtful_setting', message)));
    findings.push(...findingsOfMemory(config), ...findingsOfSettings(config), ...findingsOfProcfile(app.root));
    findings.push(...(await findingsOfMail(config)));
    const options = { as: 'doctor', doing: 'Cannot look further' } as const;
    const connection = await AppConnection.open(app, config, options).catch(add('unreachable'));
    if (connection?.redis.isOff) notes.push(`Redis is off: ${WITHOUT_REDIS}`);
    if (connection) {
      await findingsOfServers(app, config, connection).then((found) => findings.push(...found), add('unreadable'));
      await connection.disconnect();
    }
  }
  const text = json ? JSON.stringify({ findings }, null, 2) : [...notes, ...linesOf(findings)].join('\n');
  await new Promise<void>((resolve) => process.stdout.write(`${text}\n`, () => resolve()));
  process.exit(findings.length === 0 ? EXIT.ok : EXIT.failed);
}

function linesOf(findings: readonly Symptom[]): string[] {
  const lines = findings.map(({ finding, what_to_do: todo }) => (todo === '' ? finding : `${finding}: ${todo}`));
  const end = findings.length === 0 ? 'All is as it should be.' : `Things to do: ${findings.length}`;
  return [...lines, end];
}

/** Skips a tree that is started with `--only`, since its other half runs elsewhere. */
function findingsOfMemory({ memoryLimitMb, web, jobs }: Config): Symptom[] {
  const planned = BASE_MB + web.concurrency * WORKER_MB;
  if (memoryLimitMb === null || !web.enabled || !jobs.enabled || planned <= memoryLimitMb) return [];
  const sums = `${BASE_MB} MB and ${web.concurrency} workers of ${WORKER_MB} MB`;
  const finding = `The tree is planned to use ${planned} MB (${sums}), and may use ${memoryLimitMb} MB`;
  return [symptom('warning', 'memory_over_limit', finding, 'lower WEB_CONCURRENCY, or set it to auto.')];
}

function findingsOfSettings({ environment, databaseUrl, redisUrl }: Config): Symptom[] {
  if (environment !== 'production') return [];
  const found: Symptom[] = [];
  if (databaseUrl !== null && postgresTls(databaseUrl, true) === 'unchecked') {
    found.push(
      symptom(
        'warning',
        'postgres_unchecked_tls',
        "Postgres's certificate is not checked",
        'add ?sslmode=verify-full to DATABASE_URL.',
      ),
    );
  }
  if (redisUrl !== null && redisTlsMode(redisUrl) === 'unchecked') {
    found.push(
      symptom(
        'warning',
        'redis_unchecked_tls',
        "Redis's certificate is not checked",
        'add ?sslmode=verify-full to its URL.',
      ),
    );
  }
  return found;
}

/** A platform that reads a Procfile signals the process that it starts: a shell or npm may not pass the signals on. */
function findingsOfProcfile(root: string): Symptom[] {
  const file = [root, process.cwd()].map((folder) => path.join(folder, 'Procfile')).find((each) => fs.existsSync(each));
  if (file === undefined) return [];
  const text = fs.readFileSync(file, 'utf8');
  const entry = path.relative(path.dirname(file), process.argv[1] ?? 'server.js');
  const found: Symptom[] = [];
  if (/^(web|worker):\s*(npm|npx|yarn|pnpm)\b/m.test(text)) {
    found.push(
      symptom(
        'error',
        'procfile_package_manager',
        `${file}: a package manager stands between the platform and the tree`,
        `start node itself, as in node ${entry}.`,
      ),
    );
  }
  if (!/^release:.*\bmigrate\b/m.test(text)) {
    found.push(
      symptom(
        'warning',
        'procfile_no_release',
        `${file}: nothing migrates before a release`,
        `add the line release: node ${entry} migrate`,
      ),
    );
  }
  return found;
}

/** Finds a Redis that a tree with jobs would refuse. @param url null: the embedded one. */
async function findingsOfRedisKind(url: string | null, { client }: Redis): Promise<Symptom[]> {
  const { clusterFault, versionFault } = await import('../checks/redis-faults');
  const info = readInfo(await client.info());
  const faults = [
    ['redis_version', versionFault(info)],
    // The embedded Redis is no cluster.
    ['redis_cluster', url === null ? undefined : clusterFault(info, url)],
  ] as const;
  return faults.flatMap(([id, fault]) => (fault === undefined ? [] : said('error', id, `Redis ${fault}`)));
}

async function findingsOfServers(
  app: AppDefinition,
  config: Config,
  { database, redis }: AppConnection,
): Promise<Symptom[]> {
  const found: Symptom[] = [];
  for (const name of await pendingMigrations(database.knex, migrationsOf(app))) {
    found.push(symptom('error', 'pending_migration', `The migration ${name} has not run`, 'run catamount db migrate.'));
  }
  const refused = redis.isOff ? [] : await findingsOfRedisKind(config.redisUrl, redis);
  found.push(...refused);
  // During a deploy the old tree and the new one run side by side.
  const planned = sumOverDeploy([connectionsOfTree(config)]);
  const allowed = await readAllowedConnections(database.knex);
  if (planned > allowed) {
    const remedy = 'lower DATABASE_POOL, WEB_CONCURRENCY or JOB_CONCURRENCY, or allow more.';
    found.push(
      symptom(
        'error',
        'too_many_connections',
        `Postgres allows ${allowed} connections, and a deploy may open ${planned}`,
        remedy,
      ),
    );
  }
  found.push(...(await findingsOfPooler(config, database)));
  if (redis.isOff) return found;
  // No tree runs on a Redis that is refused, and a cluster rejects keys without a prefix.
  if (refused.length === 0) found.push(...(await findingsOfProxies(app.name, config, redis.client)));
  found.push(...(await findingsOfRedis(redis)));
  return found;
}

async function findingsOfRedis({ client }: Redis): Promise<Symptom[]> {
  const found: Symptom[] = [];
  const info = readInfo(await client.info('memory'));
  // Reported even without a memory limit, since a later plan may have one.
  const policy = info.get('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    found.push(
      symptom(
        'warning',
        'redis_eviction',
        `Redis deletes counts of rate limits and the history when it is full (maxmemory-policy ${policy})`,
        'set it to noeviction.',
      ),
    );
  }
  return found;
}
