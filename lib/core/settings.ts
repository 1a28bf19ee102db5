import { createHash, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { isAddress, isDomain } from '../support/email-address';
import type { Config, ListenAddress, MailDelivery, TrustedProxies } from './config';
import { autoConcurrency, detectMemoryLimitMb, heapCaps } from './memory-plan';
import {
  asOnHeroku,
  duration,
  type Environment,
  languageTag,
  REDIS_URL,
  readPool,
  readRedisOff,
  readRedisUrl,
  readSchema,
  readSignUps,
  readWebLimits,
  SettingsReader,
  url,
  whole,
  withRedisPrefix,
} from './settings-reader';

export interface SettingsInput {
  readonly env: Environment;
  /** Folder that holds `.catamount/`. */
  readonly cwd: string;
  /** `--only web` or `--only jobs`. */
  readonly only?: string | undefined;
  readonly isTty?: boolean;
  /** The file that standard output was redirected to. */
  readonly logFile?: string | null;
  /** Replaces the machine's own values, in tests. */
  readonly machine?: { readonly memoryLimitMb: number | null; readonly cores: number };
}

const postgresUrl = url('postgres:', 'postgresql:');
const oneOf = <const T extends string>(...values: T[]) => z.enum(values);
const proxyList = z
  .string()
  .transform((text) => (/^\d+$/.test(text) ? { hops: Number(text) } : { addresses: text.split(/\s*,\s*/) }))
  .refine((trust) => ('hops' in trust ? trust.hops <= 10 : trust.addresses.every(isNetwork)));
const queueList = z
  .string()
  .regex(/^[A-Za-z0-9_-]+(:[1-9]\d{0,2})?(\s*,\s*[A-Za-z0-9_-]+(:[1-9]\d{0,2})?)*$/)
  .transform((text) =>
    text.split(',').map((part) => {
      const [name = '', weight] = part.trim().split(':');
      return { name, weight: Number(weight ?? 1), weighted: weight !== undefined };
    }),
  )
  .refine((queues) => new Set(queues.map((queue) => queue.name)).size === queues.length);

/** Default of PORT, and the port of links in mails when the tree does not listen on one. */
const DEFAULT_PORT = 3000;

/**
 * Reads and validates every setting (the tables in lib/core/README.md).
 * @throws ConfigError that names each wrong variable, its value and what is allowed, all at once.
 */
export function readSettings(input: SettingsInput): Config {
  const { cwd, only } = input;
  const read = new SettingsReader(input.env);
  const warnings: string[] = [];
  const environment = read.get(
    'NODE_ENV',
    oneOf('production', 'development', 'test'),
    'production, development or test',
    'development',
  );
  const production = environment === 'production';
  const onHeroku = read.has('DYNO');
  const stateDir = path.join(cwd, '.catamount');
  // Both halves of an app (`--only web`, `--only jobs`) may run in one folder, so their files differ in name.
  const half = only === undefined ? '' : `-${only}`;

  if (only !== undefined && only !== 'web' && only !== 'jobs') read.complain('--only', only, 'web or jobs');
  const port = read.get('PORT', whole(0, 65535), 'a whole number from 0 to 65535', DEFAULT_PORT);
  const host = read.get(
    'HOST',
    z.string().regex(/^(unix:.+|[^\s/]+)$/),
    'an address, a host name, or unix:/path/to.sock',
    production ? '0.0.0.0' : '127.0.0.1',
  );
  const listen: ListenAddress = host.startsWith('unix:')
    ? { kind: 'unix', path: path.resolve(cwd, host.slice('unix:'.length)) }
    : { kind: 'tcp', host, port };

  const cgroup = input.machine ? input.machine.memoryLimitMb : detectMemoryLimitMb();
  const memoryLimitMb = read.get(
    'MEMORY_LIMIT_MB',
    whole(128, 1_048_576),
    'a whole number of megabytes, at least 128',
    cgroup ?? (onHeroku ? 512 : null),
  );
  const concurrency = read.get(
    'WEB_CONCURRENCY',
    z.union([z.literal('auto'), whole(0, 64)]),
    'auto, or a whole number from 0 to 64',
    2,
  );
  const jobsOn = read.get('JOB_PROCESSOR', oneOf('0', '1'), '0 or 1', '1') === '1';
  const queues = read.get(
    'JOB_QUEUES',
    queueList,
    'queue names in order, such as default,mailer, or with weights: default:3,mailer:1',
    [
      { name: 'default', weight: 1, weighted: false },
      { name: 'mailer', weight: 1, weighted: false },
    ],
  );

  const urls = {
    database: read.get('DATABASE_URL', postgresUrl, 'a postgres:// URL', null, 'secret'),
    direct: read.get('DATABASE_DIRECT_URL', postgresUrl, 'a postgres:// URL', null, 'secret'),
    redis: readRedisUrl(read),
  };
  const asThere = (text: string | null) => text && (onHeroku ? asOnHeroku(text, 'Postgres') : text);
  const databaseUrl = asThere(urls.database);
  const redisPrefix = read.get(
    'REDIS_PREFIX',
    z.string().regex(/^[\w.-]{1,64}$/),
    'up to 64 letters, digits or _ . -, such as the name of the app',
    null,
  );
  const redisOff = readRedisOff(read);
  const redisUrl = urls.redis && withRedisPrefix(onHeroku ? asOnHeroku(urls.redis, 'Redis') : urls.redis, redisPrefix);
  if (production && databaseUrl === null)
    read.require('DATABASE_URL', 'a postgres:// URL; nothing embedded starts in production');
  if (urls.direct !== null && databaseUrl === null)
    read.require('DATABASE_URL', 'the URL of the pooler, since DATABASE_DIRECT_URL leads past it to the same database');
  if (production && redisUrl === null && !redisOff)
    read.require(
      'REDIS_URL',
      `${REDIS_URL} (or name its variable in REDIS_PROVIDER), or set REDIS=off to run without Redis; nothing embedded starts in production`,
    );

  const smtpUrl = read.get('SMTP_URL', url('smtp:', 'smtps:'), 'an smtp:// or smtps:// URL', null, 'secret');
  const delivery: MailDelivery = read.get(
    'MAIL_DELIVERY',
    oneOf('smtp', 'file', 'log', 'test'),
    'smtp, file, log or test',
    smtpUrl ? 'smtp' : 'file',
  );
  if (delivery === 'smtp' && smtpUrl === null)
    read.require('SMTP_URL', 'an smtp:// or smtps:// URL, since MAIL_DELIVERY is smtp');
  if (production && !read.has('MAIL_DELIVERY') && smtpUrl === null)
    read.require('SMTP_URL', 'an smtp:// or smtps:// URL; or set MAIL_DELIVERY=log to send none');
  // With PORT=0 the primary replaces the port once it listens.
  const listensOnPort = only !== 'jobs' && listen.kind === 'tcp';
  const linkedPort = port === 0 && !listensOnPort ? DEFAULT_PORT : port;
  const appUrl = read
    .get(
      'APP_URL',
      url('http:', 'https:').refine(hasNoCredentials),
      'an http:// or https:// URL without a user name or password, which all links in mails would contain',
      `http://localhost:${linkedPort}`,
      read.raw('APP_URL')?.includes('@') ? 'secret' : undefined,
    )
    .replace(/\/+$/, '');
  if (!read.has('APP_URL') && (production || !listensOnPort)) {
    const [why, where] = listensOnPort ? ['', 'localhost'] : [' and this tree listens on no port', appUrl];
    warnings.push(
      `APP_URL is not set${why}, so links in mails point to ${where}. Set APP_URL to the address people use.`,
    );
  }
  const from = read.get(
    'MAIL_FROM',
    z.string().refine(isSender),
    'one address, such as Shop <hello@shop.example>',
    `no-reply@${mailDomain(appUrl)}`,
  );

  const opsUser = read.get(
    'OPS_USER',
    z
      .string()
      .min(1)
      .regex(/^[^:\r\n]+$/),
    'a name without a colon',
    null,
  );
  const opsPassword = read.get('OPS_PASSWORD', z.string().min(8), 'at least 8 characters', null, 'secret');
  if (opsUser !== null && opsPassword === null)
    read.require('OPS_PASSWORD', 'at least 8 characters, since OPS_USER is set');
  if (opsPassword !== null && opsUser === null) read.require('OPS_USER', 'a name, since OPS_PASSWORD is set');
  const viewerPassword = read.get(
    'OPS_VIEWER_PASSWORD',
    z
      .string()
      .min(8)
      .refine((text) => text !== opsPassword),
    'at least 8 characters, and another password than OPS_PASSWORD',
    null,
    'secret',
  );
  if (viewerPassword !== null && opsUser === null) read.require('OPS_USER', 'a name, since OPS_VIEWER_PASSWORD is set');

  const opsSecret = read.get('OPS_SECRET', z.string().min(32), 'at least 32 characters', null, 'secret');

  const opsToken = read.get(
    'OPS_TOKEN',
    z.string().regex(/^[\w-]{16,}$/),
    'at least 16 letters, digits, - or _',
    randomBytes(16).toString('base64url'),
    'secret',
  );

  const metricsToken = read.get(
    'METRICS_TOKEN',
    z.string().regex(/^[\w.~+/=-]{16,}$/),
    'at least 16 letters, digits or - . _ ~ + / =, such as openssl rand -hex 32 gives',
    null,
    'secret',
  );

  const locale = read.get('DEFAULT_LOCALE', languageTag, 'a language tag (BCP 47), such as de or pt-BR', 'en');
  const maxThreads = read.get('MAX_THREADS', whole(1, 1000), 'a whole number from 1 to 1000', 5);
  const jobConcurrency = read.get('JOB_CONCURRENCY', whole(1, 1000), 'a whole number from 1 to 1000', 2);
  const enabled = { web: only !== 'jobs', jobs: jobsOn && only !== 'web' };
  const { workers, sums } =
    concurrency === 'auto'
      ? autoConcurrency(memoryLimitMb, input.machine?.cores)
      : { workers: concurrency, sums: null };
  const control = {
    socket: path.resolve(
      cwd,
      read.get('CONTROL_SOCKET', z.string().min(1), 'a path', path.join(stateDir, `control${half}.sock`)),
    ),
    stateFile: path.resolve(
      cwd,
      read.get('STATE_FILE', z.string().min(1), 'a path', path.join(stateDir, `state${half}.json`)),
    ),
  };
  const config: Config = {
    environment,
    stateDir,
    onHeroku,
    trustProxy: read.get<TrustedProxies, TrustedProxies>(
      'TRUST_PROXY',
      proxyList,
      'the number of proxy hops in front, up to 10, or their addresses, such as 10.0.0.0/8,::1',
      { hops: onHeroku ? 1 : 0 },
    ),
    tree: identifyTree(read.raw('DYNO'), control.socket),
    listen,
    web: {
      enabled: enabled.web,
      concurrency: workers,
      sizing: sums,
      maxThreads,
      ...readWebLimits(read),
    },
    shutdownTimeoutMs: read.get(
      'SHUTDOWN_TIMEOUT',
      duration(1000, 3_600_000),
      'seconds, or a time such as 25s, from 1s to 1h',
      25_000,
    ),
    memoryLimitMb,
    heapCaps: memoryLimitMb === null ? null : heapCaps(memoryLimitMb, enabled.web ? workers : 0, enabled.jobs),
    jobs: {
      enabled: enabled.jobs,
      concurrency: jobConcurrency,
      queues: queues.map(({ name, weight }) => ({ name, weight })),
      weighted: queues.some((queue) => queue.weighted),
      latencyWarningMs: read.get(
        'JOB_LATENCY_WARNING',
        duration(0, 86_400_000),
        'seconds, or a time such as 60s, up to 1d; 0 for never',
        60_000,
      ),
    },
    databaseUrl,
    databaseDirectUrl: asThere(urls.direct),
    databaseSchema: readSchema(read),
    databasePool: readPool(read, maxThreads, jobConcurrency),
    redisUrl,
    redisOff,
    redisPrefix,
    signUps: readSignUps(read),
    mail: { delivery, smtpUrl, from, dir: path.join(stateDir, 'mails') },
    appUrl,
    defaultLocale: locale,
    ops:
      opsUser !== null && opsPassword !== null
        ? { user: opsUser, password: opsPassword, viewerPassword, secret: opsSecret }
        : null,
    opsToken: production || opsUser !== null ? null : opsToken,
    metricsToken,
    control,
    log: {
      level: read.get(
        'LOG_LEVEL',
        oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
        'trace, debug, info, warn, error, fatal or silent',
        'info',
      ),
      format: read.get('LOG_FORMAT', oneOf('pretty', 'json'), 'pretty or json', input.isTty ? 'pretty' : 'json'),
      requests: read.get('LOG_REQUESTS', oneOf('0', '1'), '0 or 1', '1') === '1',
      file: input.logFile ?? null,
    },
    warnings,
  };
  if (only === 'jobs' && !config.jobs.enabled)
    read.complain('JOB_PROCESSOR', '0', '1, since --only jobs asks for the job processor');
  read.throwIfAnyComplaint();
  return config;
}

function isNetwork(text: string): boolean {
  const [, address = '', bits = '0'] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  return isIP(address) !== 0 && Number(bits) <= (isIP(address) === 6 ? 128 : 32);
}

function hasNoCredentials(text: string): boolean {
  // A text that is no URL was refused before.
  if (!URL.canParse(text)) return true;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}

/** @returns true for an address with or without a name; characters that could end the name must be quoted. */
function isSender(text: string): boolean {
  const [, address = text] = /^(?:[^\p{C}<>",:;@()[\]\\]*|"[^\p{C}"\\]*" *)<([^<>]+)>$/u.exec(text) ?? [];
  return isAddress(address);
}

/** @returns the host for mail addresses, or `localhost` when it is an IP address, which mail cannot come from. */
function mailDomain(appUrl: string): string {
  const { hostname } = new URL(appUrl);
  return isDomain(hostname) ? hostname : 'localhost';
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
