import { randomBytes } from 'node:crypto';
import { connectionsOfTree, sumOverDeploy, TABLES } from '../../core/config';
import { errorFinding, type Finding, warningFinding } from '../../core/finding';
import { redisPlace } from '../../core/redis-url';
import { withTlsAdvice } from '../../core/tls';
import { pg } from '../../internals/pg';
import { isCopy } from '../../job/row/installation';
import { readAllowedConnections } from '../../model/allowed-connections';
import { connectionSettings } from '../../model/database';
import { pendingMigrations } from '../../model/migrations';
import { refusesWrites } from '../../model/read-only';
import { pluralize } from '../../support/counted';
import { valueWithin } from '../../support/deadline';
import { deferred } from '../../support/deferred';
import { toError } from '../../support/to-error';
import type { PostgresContext } from './all-checks';

export async function pending({ database, migrations }: PostgresContext): Promise<Finding[]> {
  const names = await pendingMigrations(database.knex, migrations);
  return names.map((name) => ({
    ...errorFinding(`The migration ${name} has not run`, 'run catamount db migrate'),
    subject: name,
  }));
}

/** @param most names that are listed. @returns a sentence about all pending migrations. */
export function pendingText(names: readonly string[], most = names.length): string {
  const more = names.length > most ? ` and ${names.length - most} more` : '';
  const verb = names.length === 1 ? 'has' : 'have';
  return `${pluralize(names.length, 'migration')} ${verb} not run: ${names.slice(0, most).join(', ')}${more}.`;
}

/** During a deploy the old processes and the new ones run side by side. */
export async function connections({ config, database, otherTrees = [] }: PostgresContext): Promise<Finding[]> {
  const planned = sumOverDeploy([connectionsOfTree(config), ...otherTrees]);
  const allowed = await readAllowedConnections(database.knex);
  if (planned <= allowed) return [];
  const deploy = otherTrees.length === 0 ? 'a deploy' : `a deploy of ${otherTrees.length + 1} trees`;
  const remedy = 'lower DATABASE_POOL, WEB_CONCURRENCY, JOB_CONCURRENCY or JOB_THREADS, or allow more.';
  return [errorFinding(`Postgres allows ${allowed} connections, and ${deploy} may open ${planned}`, remedy)];
}

/** Time within which a notification to oneself must arrive, ms. */
const ECHO_MS = 5000;

/**
 * Sends itself a notification, on the connections that job processors use: a pooler in transaction mode accepts LISTEN, but
 * delivers nothing.
 */
export async function pooler({ config, database: { knex, url } }: PostgresContext): Promise<Finding[]> {
  const { databaseDirectUrl: direct, environment } = config;
  const settings = connectionSettings(direct ?? url, environment === 'production');
  const client = new pg.Client({ ...settings, query_timeout: ECHO_MS });
  const token = randomBytes(6).toString('hex');
  const heard = deferred<boolean>();
  client.on('error', () => undefined);
  client.on('notification', ({ payload }) => payload === token && heard.resolve(true));
  try {
    await client.connect();
    await client.query(`LISTEN ${TABLES.echoChannel}`);
    await knex.raw('select pg_notify(?, ?)', [TABLES.echoChannel, token]);
    if (await valueWithin(heard.promise, ECHO_MS, false)) return [];
  } catch (thrown) {
    if (direct === null) throw thrown;
    const { message } = withTlsAdvice(toError(thrown), 'Postgres');
    const text = `Postgres at ${redisPlace(direct)}, of DATABASE_DIRECT_URL, does not let us in (${message})`;
    return [errorFinding(text, 'correct it; LISTEN and migrations go there.', 'direct_url_unreachable')];
  } finally {
    await client.end().catch(() => undefined);
  }
  const [through, remedy] =
    direct === null
      ? ['through DATABASE_URL, as behind a pooler in transaction mode', 'set DATABASE_DIRECT_URL to']
      : ['through DATABASE_DIRECT_URL', 'that leads to a pooler, or to another database: set it to'];
  const text = `Notifications of Postgres do not arrive ${through}, so jobs start later`;
  return [warningFinding(text, `${remedy} the URL of Postgres itself.`)];
}

export const WRITES_REFUSED = 'Postgres refuses writes: it is a standby, or set read-only.';

export async function writes({ database }: PostgresContext): Promise<Finding[]> {
  return (await refusesWrites(database.knex)) ? [errorFinding(WRITES_REFUSED)] : [];
}

/** The web keeps serving a database that is a copy, but jobs wait for the adoption. */
export async function copied({ database }: PostgresContext): Promise<Finding[]> {
  const remedy = 'its jobs wait until somebody types "catamount jobs adopt".';
  return (await isCopy(database.knex))
    ? [warningFinding('This database was copied from another installation', remedy)]
    : [];
}
