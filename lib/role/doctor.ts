import fs from 'node:fs';
import path from 'node:path';
import { type Config, connectionsOfTree, sumOverDeploy } from '../core/config';
import { EXIT, UserError } from '../core/errors';
import { readInfo } from '../core/redis-info';
import { postgresTls, redisTlsMode } from '../core/tls';
import { readAllowedConnections } from '../model/database';
import { pendingMigrations } from '../model/migrations';
import { toError } from '../support/async';
import { type AppDefinition, migrationsOf } from './app-definition';
import { AppConnection } from './connection';

/**
 * `catamount doctor`: looks at what surrounds the app, where it is going to run, and says what to do about each thing
 * that is not as it should be. Exit code 1: there is one.
 * @throws UserError for wrong usage.
 */
export async function runDoctor(
  app: AppDefinition,
  args: readonly string[],
  readConfig: () => Promise<Config>,
): Promise<void> {
  if (args.length > 0) throw new UserError(`doctor takes no argument; "${args.join(' ')}" is too much.`, EXIT.usage);
  const findings: string[] = [];
  const add = (thrown: unknown) => void findings.push(toError(thrown).message);
  const config = await readConfig().catch(add);
  if (config) {
    findings.push(...config.warnings, ...findingsOfSettings(config), ...findingsOfProcfile(app.root));
    const connection = await AppConnection.open(app, config, { as: 'doctor', doing: 'Cannot look further' }).catch(add);
    if (connection) {
      await findingsOfServers(app, config, connection).then((found) => findings.push(...found), add);
      await connection.disconnect();
    }
  }
  const end = findings.length === 0 ? 'All is as it should be.' : `Things to do: ${findings.length}`;
  await new Promise<void>((resolve) => process.stdout.write(`${[...findings, end].join('\n')}\n`, () => resolve()));
  process.exit(findings.length === 0 ? EXIT.ok : EXIT.failed);
}

function findingsOfSettings({ environment, databaseUrl, redisUrl }: Config): string[] {
  if (environment !== 'production') return [];
  const found: string[] = [];
  if (databaseUrl !== null && postgresTls(databaseUrl, true) === 'unchecked') {
    found.push("Postgres's certificate is not checked: add ?sslmode=verify-full to DATABASE_URL.");
  }
  if (redisUrl !== null && redisTlsMode(redisUrl) === 'unchecked') {
    found.push("Redis's certificate is not checked: add ?sslmode=verify-full to its URL.");
  }
  return found;
}

/** If there is a Procfile, its platform sends signals to what it starts: a shell in between would keep them. */
function findingsOfProcfile(root: string): string[] {
  const file = [root, process.cwd()].map((folder) => path.join(folder, 'Procfile')).find((each) => fs.existsSync(each));
  if (file === undefined) return [];
  const text = fs.readFileSync(file, 'utf8');
  const found: string[] = [];
  if (/^(web|worker):\s*(npm|npx|yarn|pnpm)\b/m.test(text)) {
    found.push(
      `${file}: a package manager stands between the platform and the tree: start node itself, as in node server.js.`,
    );
  }
  if (!/^release:.*\bmigrate\b/m.test(text)) {
    found.push(`${file}: nothing migrates before a release: add the line release: node server.js migrate`);
  }
  return found;
}

async function findingsOfServers(
  app: AppDefinition,
  config: Config,
  { database, redis }: AppConnection,
): Promise<string[]> {
  const found: string[] = [];
  for (const name of await pendingMigrations(database.knex, migrationsOf(app))) {
    found.push(`The migration ${name} has not run: run catamount migrate.`);
  }
  // During a deploy the old tree and the new one run side by side.
  const planned = sumOverDeploy([connectionsOfTree(config)]);
  const allowed = await readAllowedConnections(database.knex);
  if (planned > allowed) {
    const remedy = 'lower DATABASE_POOL, WEB_CONCURRENCY or JOB_CONCURRENCY, or allow more';
    found.push(`Postgres allows ${allowed} connections, and a deploy may open ${planned}: ${remedy}.`);
  }
  const { client } = redis;
  const info = readInfo(`${await client.info('persistence')}\n${await client.info('memory')}`);
  // Told without a limit of memory, too: a plan that is changed later may bring one.
  const policy = info.get('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    found.push(`Redis forgets keys when it is full (maxmemory-policy ${policy}): set it to noeviction.`);
  }
  if (config.environment === 'production' && info.get('aof_enabled') === '0') {
    found.push('Redis keeps no append-only file, so jobs outside the outbox are lost with it: set appendonly yes.');
  }
  return found;
}
