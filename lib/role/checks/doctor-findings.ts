import { randomBytes } from 'node:crypto';
import { type Config, TABLES } from '../../core/config';
import type { RedisClient } from '../../core/redis';
import { redisPlace } from '../../core/redis-url';
import { withTlsAdvice } from '../../core/tls';
import { pg } from '../../internals/pg';
import { SmtpTransport } from '../../mailer/transport/smtp';
import { connectionSettings, type Database } from '../../model/database';
import { deferred, toError, valueWithin } from '../../support/async';
import { TreeDirectory } from '../../tree/tree-directory';

/** One problem, as `catamount doctor --json` prints it. */
export interface Symptom {
  /** Stays the same from version to version, such as `pending_migration`. */
  readonly id: string;
  /** error: something fails or is lost. warning: it may, later or under load. */
  readonly severity: 'error' | 'warning';
  readonly finding: string;
  readonly what_to_do: string;
}

export const symptom = (severity: Symptom['severity'], id: string, finding: string, remedy: string): Symptom => ({
  id,
  severity,
  finding,
  what_to_do: remedy,
});

/** Asks the app's trees on this Redis, each of which reports at least every ten seconds. */
export async function findingsOfProxies(
  appName: string,
  { trustProxy }: Config,
  redis: RedisClient,
): Promise<Symptom[]> {
  const trees = (await new TreeDirectory(redis).list()).map(({ treeStatus }) => treeStatus);
  const statuses = trees
    .filter(({ app }) => app === appName)
    .flatMap(({ stats }) => [...stats.workerStatus.map(({ lastStatus }) => lastStatus), stats.single ?? {}]);
  const peers = new Set(
    statuses.flatMap((status) => ('untrustedProxy' in status ? (status.untrustedProxy ?? []) : [])),
  );
  if (peers.size === 0) return [];
  const from = [...peers].map((peer) => peer || 'a unix socket').join(', ');
  const trusts = 'hops' in trustProxy ? 'TRUST_PROXY is 0' : 'TRUST_PROXY does not name it';
  const remedy =
    'set it to the number of proxies in front, or to their addresses. If you have no proxy there, a client has forged the headers, and there is nothing to do.';
  return [symptom('warning', 'proxy_not_trusted', `Headers of a proxy came from ${from}, and ${trusts}`, remedy)];
}

/** Time within which a notification to oneself must arrive, ms. */
const ECHO_MS = 5000;

/**
 * Sends itself a notification, on the connections that job processors use: a pooler in transaction mode accepts LISTEN, but
 * delivers nothing.
 */
export async function findingsOfPooler(
  { databaseDirectUrl, environment }: Config,
  { knex, url }: Database,
): Promise<Symptom[]> {
  const settings = connectionSettings(databaseDirectUrl ?? url, environment === 'production');
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
    if (databaseDirectUrl === null) throw thrown;
    const { message } = withTlsAdvice(toError(thrown), 'Postgres');
    const finding = `Postgres at ${redisPlace(databaseDirectUrl)}, of DATABASE_DIRECT_URL, does not let us in (${message})`;
    return [symptom('error', 'direct_url_unreachable', finding, 'correct it; LISTEN and migrations go there.')];
  } finally {
    await client.end().catch(() => undefined);
  }
  const [through, remedy] =
    databaseDirectUrl === null
      ? ['through DATABASE_URL, as behind a pooler in transaction mode', 'set DATABASE_DIRECT_URL to']
      : ['through DATABASE_DIRECT_URL', 'that leads to a pooler, or to another database: set it to'];
  const finding = `Notifications of Postgres do not arrive ${through}, so jobs start later`;
  return [symptom('warning', 'pooler', finding, `${remedy} the URL of Postgres itself.`)];
}

/** Time within which the mail server must let us in, ms. */
const MAIL_MS = 10_000;

/** Connects to the mail server and signs in, without sending a mail. @param limitMs time limit. */
export async function findingsOfMail(
  { mail: { delivery, smtpUrl } }: { readonly mail: Pick<Config['mail'], 'delivery' | 'smtpUrl'> },
  limitMs = MAIL_MS,
): Promise<Symptom[]> {
  if (delivery !== 'smtp' || smtpUrl === null) return [];
  const transport = new SmtpTransport(smtpUrl, { sendMs: limitMs });
  try {
    await transport.verify();
    return [];
  } catch (thrown) {
    const error = toError(thrown);
    const server = `The mail server at ${new URL(smtpUrl).host}`;
    return 'code' in error && error.code === 'EAUTH'
      ? [symptom('error', 'smtp_login', `${server} rejects the login (${error.message})`, LOGIN_REMEDY)]
      : [symptom('error', 'smtp_unreachable', `${server} cannot be used (${error.message})`, REACH_REMEDY)];
  } finally {
    await transport.close({ force: true });
  }
}

const LOGIN_REMEDY = 'correct the user and password in SMTP_URL.';
const REACH_REMEDY =
  'start it, correct host and port in SMTP_URL, or allow connections to it. Until then mails wait and are retried.';
