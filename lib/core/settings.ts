import { createHash, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parseRate, type Rate } from '../support/duration';
import { isAddress } from '../support/email-address';
import {
  type Config,
  DEFAULT_SCHEMA,
  type EncryptionKey,
  inlineParts,
  type OpsConfig,
  type TrustedProxies,
} from './config';
import { DEFAULT_PORT, readListen } from './listen-settings';
import { canonicalLocale } from './locales';
import { readMail } from './mail-settings';
import { autoConcurrency, detectMemoryLimitMb, heapCaps } from './memory-plan';
import { REDIS_URL, readRedisOff, readRedisUrl, withRedisPrefix } from './redis-settings';
import {
  type Environment,
  kind,
  oneOf,
  SettingsReader,
  secret,
  text,
  time,
  url,
  whole,
  within,
} from './settings-reader';
import { postgresTls, redisTlsMode } from './tls';

export interface SettingsInput {
  readonly env: Environment;
  /** Folder that holds `.catamount/`. */
  readonly cwd: string;
  /** `--only web` or `--only jobs`. */
  readonly only?: string | undefined;
  readonly isTty?: boolean;
  /** Replaces the machine's own values, in tests. */
  readonly machine?: { readonly memoryLimitMb: number | null; readonly cores: number };
}

const SECOND = 1000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const POSTGRES_URL = secret(url('a postgres:// URL', 'postgres:', 'postgresql:'));
const STATSD_URL = text(
  'the udp:// URL of a StatsD server, such as udp://127.0.0.1:8125',
  (given) => /^udp:\/\/(\[[\da-f:.]+\]|[\w.-]+):[1-9]\d{0,4}$/i.test(given) && URL.canParse(given),
);
const ON_OR_OFF = oneOf('0', '1');
const COUNT = whole(1, 1000);
const FILE = text('a path', /./);

/** A name and an optional weight. */
const QUEUE = '[A-Za-z0-9_-]+(?::[1-9]\\d{0,2})?';
const QUEUES = kind('queue names in order, such as default,mailer, or with weights: default:3,mailer:1', (list) => {
  if (!new RegExp(`^${QUEUE}(\\s*,\\s*${QUEUE})*$`).test(list)) return undefined;
  const queues = list.split(',').map((part) => {
    const [name = '', weight] = part.trim().split(':');
    return { name, weight: Number(weight ?? 1), weighted: weight !== undefined };
  });
  return new Set(queues.map(({ name }) => name)).size === queues.length ? queues : undefined;
});
const DEFAULT_QUEUES = ['default', 'mailer'].map((name) => ({ name, weight: 1, weighted: false }));

const PROXIES = kind<TrustedProxies>(
  'the number of proxy hops in front, up to 10, or their addresses, such as 10.0.0.0/8,::1',
  (list) => {
    if (/^\d+$/.test(list)) return Number(list) <= 10 ? { hops: Number(list) } : undefined;
    const addresses = list.split(/\s*,\s*/);
    return addresses.every(isNetwork) ? { addresses } : undefined;
  },
);

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9 };
const SIZE = kind('bytes, or a size such as 500kB or 2MB, from 1kB to 1GB', (size) => {
  const [, count, unit = ''] = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)?$/i.exec(size) ?? [];
  return within(Math.round(Number(count) * (UNITS[unit.toLowerCase()] ?? 1)), 1000, 1e9);
});

const RATE = kind<Rate | null>('a number per time, such as 60/1h, of 1s to 1d; or off', (rate) =>
  rate === 'off' ? null : parseRate(rate),
);

const LOCALE = kind('a language tag (BCP 47), such as de or pt-BR', canonicalLocale);

/**
 * Reads and validates every setting (the tables in lib/core/README.md).
 * @throws ConfigError that names each wrong variable, its value and what is allowed, all at once.
 */
export function readSettings(input: SettingsInput): Config {
  const { cwd, only, machine } = input;
  const read = new SettingsReader(input.env);
  const environment = read.get('NODE_ENV', oneOf('production', 'development', 'test'), 'development');
  const production = environment === 'production';
  const onHeroku = read.has('DYNO');
  const stateDir = path.join(cwd, '.catamount');
  if (only !== undefined && only !== 'web' && only !== 'jobs') read.complain('--only', only, 'web or jobs');
  // Both halves of an app (`--only web`, `--only jobs`) may run in one folder, so their files differ in name.
  const half = only === undefined ? '' : `-${only}`;
  const file = (variable: string, name: string) =>
    path.resolve(cwd, read.get(variable, FILE, path.join(stateDir, name)));
  const pidFile = read.get('PID_FILE', FILE, null);
  const control = {
    socket: file('CONTROL_SOCKET', `control${half}.sock`),
    stateFile: file('STATE_FILE', `state${half}.json`),
    pidFile: pidFile && path.resolve(cwd, pidFile),
  };

  const { port, listening } = readListen(read, { cwd, production });
  const [first] = listening.listen;

  const cgroup = machine ? machine.memoryLimitMb : detectMemoryLimitMb();
  const limit = whole(128, 1_048_576, 'a whole number of megabytes, at least 128');
  const memoryLimitMb = read.get('MEMORY_LIMIT_MB', limit, cgroup ?? (onHeroku ? 512 : null));
  const processor = read.get('JOB_PROCESSOR', oneOf('0', '1', 'inline'), '1');
  if (only === 'jobs' && processor === '0')
    read.complain('JOB_PROCESSOR', '0', '1, since --only jobs asks for the job processor');
  const enabled = { web: only !== 'jobs', jobs: processor !== '0' && only !== 'web' };
  const web = readWeb(read, enabled.web, memoryLimitMb, machine?.cores);
  const jobs = readJobs(read, enabled.jobs, processor === 'inline');
  const inline = inlineParts({ web, jobs });
  if (inline.jobs && web.enabled && !inline.web) {
    const allowed = '0 or 1, unless WEB_CONCURRENCY=0 or --only jobs: a job must not hold up the primary of workers';
    read.complain('JOB_PROCESSOR', 'inline', allowed);
  }
  const isForked = (enabled.web && !inline.web) || (enabled.jobs && !inline.jobs);
  // With PORT=0 the primary replaces the port once it listens.
  const listensOnPort = enabled.web && first?.kind === 'tcp';
  const scheme = first?.tls ? 'https' : 'http';
  const { appUrl, warnings } = readAppUrl(read, { port, scheme, production, listensOnPort });
  const ops = readOps(read);
  const openToken = secret(text('at least 16 letters, digits, - or _', /^[\w-]{16,}$/));
  const opsToken = read.get('OPS_TOKEN', openToken, randomBytes(16).toString('base64url'));
  const metricsToken = secret(
    text('at least 16 letters, digits or - . _ ~ + / =, such as openssl rand -hex 32 gives', /^[\w.~+/=-]{16,}$/),
  );
  const config: Config = {
    environment,
    stateDir,
    onHeroku,
    trustProxy: read.get('TRUST_PROXY', PROXIES, { hops: onHeroku ? 1 : 0 }),
    tree: identifyTree(read.raw('DYNO'), control.socket),
    ...listening,
    web,
    shutdownTimeoutMs: read.get('SHUTDOWN_TIMEOUT', time(SECOND, HOUR, '25s, from 1s to 1h'), 25 * SECOND),
    idleTimeoutMs: read.get('IDLE_TIMEOUT', time(0, DAY, '10m, up to 1d; 0 for never'), 0),
    memoryLimitMb,
    heapCaps:
      memoryLimitMb === null || !isForked
        ? null
        : heapCaps(memoryLimitMb, web.enabled ? web.concurrency : 0, jobs.enabled),
    jobs,
    ...readServers(read, { production, onHeroku }),
    databasePool: readPool(read, web.maxThreads, jobs.concurrency),
    signUps: readSignUps(read),
    mail: readMail(read, production, { stateDir, appUrl }),
    appUrl,
    defaultLocale: read.get('DEFAULT_LOCALE', LOCALE, 'en'),
    release: readRelease(read),
    tracing: readTracing(read),
    ops,
    opsToken: production || read.has('OPS_USER') ? null : opsToken,
    metricsToken: read.get('METRICS_TOKEN', metricsToken, null),
    statsdUrl: read.get('STATSD_URL', STATSD_URL, null),
    alerts: readAlerts(read),
    control,
    log: {
      level: read.get('LOG_LEVEL', oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), 'info'),
      format: read.get('LOG_FORMAT', oneOf('pretty', 'json'), input.isTty ? 'pretty' : 'json'),
      requests: read.get('LOG_REQUESTS', ON_OR_OFF, '1') === '1',
    },
    warnings,
  };
  read.throwIfAnyComplaint();
  return config;
}

/** By its own setting, else by what Heroku says: the number of the release, or the commit. */
function readRelease(read: SettingsReader): string | null {
  const commit = read.raw('HEROKU_BUILD_COMMIT') ?? read.raw('HEROKU_SLUG_COMMIT') ?? read.raw('SOURCE_VERSION');
  const ofHeroku = read.raw('HEROKU_RELEASE_VERSION') ?? commit?.slice(0, 12) ?? null;
  return read.get('APP_RELEASE', text('1 to 100 characters without spaces', /^\S{1,100}$/), ofHeroku);
}

/** The packages of OpenTelemetry read the other variables themselves. */
function readTracing(read: SettingsReader): boolean {
  const endpoint = secret(url('an https:// or http:// URL', 'https:', 'http:'));
  const general = read.get('OTEL_EXPORTER_OTLP_ENDPOINT', endpoint, null);
  const own = read.get('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', endpoint, null);
  return (general ?? own) !== null && read.raw('OTEL_SDK_DISABLED')?.toLowerCase() !== 'true';
}

function readWeb(read: SettingsReader, enabled: boolean, memoryLimitMb: number | null, cores?: number): Config['web'] {
  const { parse } = whole(0, 64);
  const concurrency = kind<number | 'auto'>('auto, or a whole number from 0 to 64', (given) =>
    given === 'auto' ? given : parse(given),
  );
  const wanted = read.get('WEB_CONCURRENCY', concurrency, 2);
  const { workers, sums } = wanted === 'auto' ? autoConcurrency(memoryLimitMb, cores) : { workers: wanted, sums: null };
  const limit = (variable: string, fallbackMs: number) =>
    read.get(variable, time(SECOND, HOUR, `${fallbackMs / 1000}s, from 1s to 1h`), fallbackMs);
  return {
    enabled,
    concurrency: Math.max(1, workers),
    inline: workers === 0,
    sizing: sums,
    maxThreads: read.get('MAX_THREADS', COUNT, 5),
    backlog: read.get('WEB_BACKLOG', whole(0, 100_000), 512),
    bodyLimitBytes: read.get('BODY_LIMIT', SIZE, 100_000),
    queueTimeoutMs: read.get('WEB_QUEUE_TIMEOUT', time(1, HOUR / 6, '500ms or 10s, up to 10m'), 10 * SECOND),
    requestTimeoutMs: read.get('REQUEST_TIMEOUT', time(SECOND, DAY, '5m, from 1s to 24h'), 29 * SECOND),
    headerTimeoutMs: limit('HEADER_TIMEOUT', 15 * SECOND),
    keepAliveTimeoutMs: limit('KEEP_ALIVE_TIMEOUT', 95 * SECOND),
    keepAliveRequests: read.get('KEEP_ALIVE_REQUESTS', whole(0, 1e9), 0),
    writeTimeoutMs: limit('WRITE_TIMEOUT', 10 * SECOND),
    workerTimeoutMs: limit('WORKER_TIMEOUT', 60 * SECOND),
    cullingStrategy: read.get('WORKER_CULLING_STRATEGY', oneOf('youngest', 'oldest'), 'youngest'),
    bootTimeoutMs: limit('WORKER_BOOT_TIMEOUT', 30 * SECOND),
  };
}

function readJobs(read: SettingsReader, enabled: boolean, inline: boolean): Config['jobs'] {
  const queues = read.get('JOB_QUEUES', QUEUES, DEFAULT_QUEUES);
  return {
    enabled,
    inline,
    concurrency: read.get('JOB_CONCURRENCY', COUNT, 2),
    threads: read.get('JOB_THREADS', whole(0, 1000), 0),
    queues: queues.map(({ name, weight }) => ({ name, weight })),
    weighted: queues.some(({ weighted }) => weighted),
    latencyWarningMs: read.get('JOB_LATENCY_WARNING', time(0, DAY, '60s, up to 1d; 0 for never'), 60 * SECOND),
    encryptionKeys: readEncryptionKeys(read),
    logEnqueues: read.get('LOG_ENQUEUES', ON_OR_OFF, '0') === '1',
  };
}

/** Nothing of the keys is shown, not even of one in the place of its id. */
function readEncryptionKeys(read: SettingsReader): readonly EncryptionKey[] {
  const given = read.raw('JOB_ENCRYPTION_KEYS')?.split(',') ?? [];
  const keys = given.map((part) => {
    const [, id = '', key = ''] = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/_-]{43}=?)$/.exec(part.trim()) ?? [];
    return { id, key };
  });
  const wrong = keys.findIndex(({ id }, at) => id === '' || keys.slice(0, at).some((other) => other.id === id));
  if (wrong < 0) return keys;
  const what = keys[wrong]?.id ? 'has the id of another' : 'is not ID:KEY with 32 bytes in base64';
  const allowed = 'a list such as 2026a:KEY,2025b:KEY, the key that encrypts first, each of openssl rand -base64 32';
  read.complain('JOB_ENCRYPTION_KEYS', `<${keys.length} of which number ${wrong + 1} ${what}>`, allowed);
  return [];
}

type Servers = Pick<
  Config,
  'databaseUrl' | 'databaseDirectUrl' | 'databaseSchema' | 'redisUrl' | 'redisOff' | 'redisPrefix'
>;

function readServers(
  read: SettingsReader,
  { production, onHeroku }: { readonly production: boolean; readonly onHeroku: boolean },
): Servers {
  const database = read.get('DATABASE_URL', POSTGRES_URL, null);
  const direct = read.get('DATABASE_DIRECT_URL', POSTGRES_URL, null);
  // A lower-case name means the same with quotes and without.
  const schema = text(
    'a name of up to 63 lower-case letters, digits and _, such as shop, which does not begin with pg_',
    /^(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}$/,
  );
  const prefix = text('up to 64 letters, digits or _ . -, such as the name of the app', /^[\w.-]{1,64}$/);
  const redis = readRedisUrl(read);
  const redisOff = readRedisOff(read);
  const redisPrefix = read.get('REDIS_PREFIX', prefix, null);
  const embedded = 'nothing embedded starts in production';
  if (production) read.require('DATABASE_URL', `a postgres:// URL; ${embedded}`);
  if (direct !== null)
    read.require('DATABASE_URL', 'the URL of the pooler, since DATABASE_DIRECT_URL leads past it to the same database');
  if (production && redis === null && !redisOff)
    read.require('REDIS_URL', `${REDIS_URL.allowed}, or set REDIS=off to run without Redis; ${embedded}`);
  return {
    databaseUrl: database && (onHeroku ? asOnHeroku(database, 'Postgres') : database),
    databaseDirectUrl: direct && (onHeroku ? asOnHeroku(direct, 'Postgres') : direct),
    databaseSchema: read.get('DATABASE_SCHEMA', schema, DEFAULT_SCHEMA),
    redisUrl: redis && withRedisPrefix(onHeroku ? asOnHeroku(redis, 'Redis') : redis, redisPrefix),
    redisOff,
    redisPrefix,
  };
}

/** Turns off the check of certificates, unless the URL has `sslmode`: those of Heroku's servers are self-signed. */
function asOnHeroku(address: string, server: 'Postgres' | 'Redis'): string {
  const parsed = new URL(address);
  const mode = server === 'Redis' ? redisTlsMode(address) : postgresTls(address, true);
  if (mode === 'off' || parsed.searchParams.has('sslmode')) return address;
  parsed.searchParams.set('sslmode', 'require');
  return parsed.toString();
}

/**
 * Sizes of the pools of Postgres connections. Each request and each job may hold a transaction. A processor needs one more for
 * single statements about jobs and mails, which never run inside a job's transaction. So nobody holds one connection while
 * waiting for another, and the pool cannot deadlock.
 */
function readPool(read: SettingsReader, maxThreads: number, jobConcurrency: number): Config['databasePool'] {
  const size = read.get('DATABASE_POOL', COUNT, null);
  const jobs = Math.max(3, jobConcurrency + 1);
  return { web: size ?? maxThreads, jobs: Math.max(size ?? jobs, jobConcurrency + 1) };
}

/** The defaults suffice for an office behind one address, and stop a flood. */
function readSignUps(read: SettingsReader): Config['signUps'] {
  return {
    perAddress: read.get('SIGN_UPS_PER_ADDRESS', RATE, { count: 60, seconds: 3600 }),
    perDomain: read.get('SIGN_UPS_PER_DOMAIN', RATE, { count: 600, seconds: 3600 }),
    perMailbox: read.get('SIGN_UPS_PER_MAILBOX', RATE, { count: 5, seconds: 86_400 }),
  };
}

function readAppUrl(
  read: SettingsReader,
  {
    port,
    scheme,
    production,
    listensOnPort,
  }: Readonly<Record<'production' | 'listensOnPort', boolean>> & { port: number; scheme: string },
): Pick<Config, 'appUrl' | 'warnings'> {
  const web = url('', 'http:', 'https:');
  const address = text(
    'an http:// or https:// URL without a user name or password, which all links in mails would contain',
    (given) => web.parse(given) !== undefined && new URL(given).username + new URL(given).password === '',
  );
  const linkedPort = port === 0 && !listensOnPort ? DEFAULT_PORT : port;
  const appUrl = read
    .get(
      'APP_URL',
      read.raw('APP_URL')?.includes('@') ? secret(address) : address,
      `${scheme}://localhost:${linkedPort}`,
    )
    .replace(/\/+$/, '');
  if (read.has('APP_URL') || (!production && listensOnPort)) return { appUrl, warnings: [] };
  const [why, where] = listensOnPort ? ['', 'localhost'] : [' and this tree listens on no port', appUrl];
  const warning = `APP_URL is not set${why}, so links in mails point to ${where}. Set APP_URL to the address people use.`;
  return { appUrl, warnings: [warning] };
}

const ADDRESSES = kind('mail addresses, such as ada@shop.example,bob@shop.example', (list) => {
  const addresses = list.split(',').map((address) => address.trim());
  return addresses.every(isAddress) ? addresses : undefined;
});

function readAlerts(read: SettingsReader): Config['alerts'] {
  const webhook = read.get('ALERT_WEBHOOK', secret(url('an https:// or http:// URL', 'https:', 'http:')), null);
  const mail = read.get('ALERT_MAIL', ADDRESSES, []);
  return webhook === null && mail.length === 0 ? null : { webhook, mail };
}

function readOps(read: SettingsReader): OpsConfig | null {
  const user = read.get('OPS_USER', text('a name without a colon', /^[^:\r\n]+$/), null);
  const password = read.get('OPS_PASSWORD', secret(text('at least 8 characters', /^.{8,}$/s)), null);
  if (user !== null) read.require('OPS_PASSWORD', 'at least 8 characters, since OPS_USER is set');
  if (password !== null) read.require('OPS_USER', 'a name, since OPS_PASSWORD is set');
  return user === null || password === null ? null : { user, password };
}

function isNetwork(given: string): boolean {
  const [, address = '', bits = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(given) ?? [];
  return isIP(address) !== 0 && Number(bits) <= (isIP(address) === 6 ? 128 : 32);
}

/**
 * Names a tree by its dyno or host, which stay the same after a restart, and its control socket, which only one running
 * tree can have. Trees that run side by side from one folder therefore have separate histories.
 */
function identifyTree(dyno: string | undefined, controlSocket: string): Config['tree'] {
  const name = dyno ?? os.hostname();
  const place = createHash('sha256')
    .update(JSON.stringify([name, controlSocket]))
    .digest('hex')
    .slice(0, 12);
  return { name, place };
}
