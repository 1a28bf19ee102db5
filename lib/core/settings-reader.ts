import { z } from 'zod';
import { parseDuration, parseRate, type Rate } from '../support/duration';
import { type Config, DEFAULT_SCHEMA } from './config';
import { EXIT, UserError } from './errors';
import { isSentinelUrl, KEY_PREFIX } from './redis-url';
import { isThisMachine, mustUpgrade, postgresTls, redisTlsMode, type TlsMode } from './tls';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Complaint {
  readonly variable: string;
  /** null: the variable is missing. */
  readonly value: string | null;
  readonly allowed: string;
}

/** All wrong settings in one message. Exit code 78. */
export class ConfigError extends UserError {
  override readonly name = 'ConfigError';

  constructor(readonly complaints: readonly Complaint[]) {
    const width = Math.max(...complaints.map((complaint) => complaint.variable.length));
    const lines = complaints.map(({ variable, value, allowed }) => {
      const found = value === null ? 'is not set' : `is ${JSON.stringify(value)}`;
      return `  ${variable.padEnd(width)}  ${found}; it must be ${allowed}`;
    });
    const count = complaints.length === 1 ? 'a setting is wrong' : `${complaints.length} settings are wrong`;
    super(`Catamount cannot start: ${count}.\n${lines.join('\n')}`, EXIT.config);
  }
}

/** Reads variables one by one and collects complaints, to report all of them together. An empty variable is unset. */
export class SettingsReader {
  private readonly complaints: Complaint[] = [];

  constructor(private readonly env: Environment) {}

  has(variable: string): boolean {
    return this.raw(variable) !== undefined;
  }

  /** @returns the text of a variable, trimmed; undefined when it is unset or empty. */
  raw(variable: string): string | undefined {
    // REDIS_PROVIDER may name anything, also `toString`, which every object inherits.
    return Object.hasOwn(this.env, variable) ? this.env[variable]?.trim() || undefined : undefined;
  }

  /** @returns the parsed value, or `fallback` when the variable is unset, or is wrong, which adds a complaint. */
  get<T, F>(variable: string, schema: z.ZodType<T>, allowed: string, fallback: F, secret?: 'secret'): T | F {
    const text = this.raw(variable);
    if (text === undefined) return fallback;
    const parsed = schema.safeParse(text);
    if (parsed.success) return parsed.data;
    this.complain(variable, secret ? hideSecret(text) : text, allowed);
    return fallback;
  }

  require(variable: string, allowed: string): void {
    // A wrong value has a complaint already.
    if (!this.has(variable)) this.complaints.push({ variable, value: null, allowed });
  }

  complain(variable: string, value: string, allowed: string): void {
    this.complaints.push({ variable, value, allowed });
  }

  throwIfAnyComplaint(): void {
    if (this.complaints.length > 0) throw new ConfigError(this.complaints);
  }
}

/**
 * Shows just enough of a secret to recognise the mistake: the scheme of a URL, or the length. Not the host, since
 * that may be a part of a password with an unescaped character.
 */
function hideSecret(text: string): string {
  if (!URL.canParse(text)) return `<${text.length} characters>`;
  return `${new URL(text).protocol}//…`;
}

export const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^-?\d+$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max));

export const duration = (minMs: number, maxMs: number) =>
  z
    .string()
    .transform((text) => parseDuration(text, 's') ?? Number.NaN)
    .pipe(z.number().min(minMs).max(maxMs));

const SIZES: Readonly<Record<string, number>> = { '': 1, b: 1, kb: 1e3, mb: 1e6, gb: 1e9 };
const size = z
  .string()
  .transform((text) => {
    const [, count, unit = ''] = /^(\d+(?:\.\d+)?)\s*(b|kb|mb|gb)?$/i.exec(text) ?? [];
    return count === undefined ? Number.NaN : Math.round(Number(count) * (SIZES[unit.toLowerCase()] ?? 1));
  })
  .pipe(z.number().min(1000).max(1e9));

/** Reads the limits on one request, and on one worker. */
export function readWebLimits(
  read: SettingsReader,
): Omit<Config['web'], 'enabled' | 'concurrency' | 'sizing' | 'maxThreads'> {
  const time = (variable: string, fallbackMs: number, [minMs, maxMs]: readonly [number, number], allowed: string) =>
    read.get(variable, duration(minMs, maxMs), `seconds, or a time such as ${allowed}`, fallbackMs);
  const upToAnHour = [1000, 3_600_000] as const;
  return {
    backlog: read.get('WEB_BACKLOG', whole(0, 100_000), 'a whole number from 0 to 100000', 512),
    bodyLimitBytes: read.get('BODY_LIMIT', size, 'bytes, or a size such as 500kB or 2MB, from 1kB to 1GB', 100_000),
    queueTimeoutMs: time('WEB_QUEUE_TIMEOUT', 10_000, [1, 600_000], '500ms or 10s, up to 10m'),
    headerTimeoutMs: time('HEADER_TIMEOUT', 15_000, upToAnHour, '15s, from 1s to 1h'),
    requestTimeoutMs: time('REQUEST_TIMEOUT', 29_000, [1000, 86_400_000], '5m, from 1s to 24h'),
    writeTimeoutMs: time('WRITE_TIMEOUT', 10_000, upToAnHour, '10s, from 1s to 1h'),
    workerTimeoutMs: time('WORKER_TIMEOUT', 60_000, upToAnHour, '60s, from 1s to 1h'),
    bootTimeoutMs: time('WORKER_BOOT_TIMEOUT', 30_000, upToAnHour, '30s, from 1s to 1h'),
  };
}

/** A URL with one of these protocols, such as `smtp:`. */
export const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol));

/** A locale, in its canonical form. The module is loaded on demand, since the primary needs it only for this. */
export const languageTag = z
  .string()
  .transform((tag) => (require('./locales') as typeof import('./locales')).canonicalLocale(tag) ?? '')
  .refine((tag) => tag !== '');

const sentinels = z
  .string()
  .refine(isSentinelUrl)
  // Loaded on demand: few have sentinels.
  .transform((text) => (require('./sentinel-url') as typeof import('./sentinel-url')).readSentinelUrl(text) ?? '')
  .refine((text) => text !== '');
const redisUrl = z.union([url('redis:', 'rediss:'), sentinels]);
export const REDIS_URL = 'a redis:// or rediss:// URL, or redis+sentinel://host:26379,host2:26379/name-of-the-master';

const rate = z.union([
  z.literal('off').transform(() => null),
  z
    .string()
    .transform((text) => parseRate(text))
    .refine((parsed) => parsed !== undefined),
]);

/** Reads the rate limits of sign-ups. The defaults suffice for an office behind one address, and stop a flood. */
export function readSignUps(read: SettingsReader): Config['signUps'] {
  const get = (variable: string, fallback: Rate) =>
    read.get(variable, rate, 'a number per time, such as 60/1h, of 1s to 1d; or off', fallback) ?? null;
  return {
    perAddress: get('SIGN_UPS_PER_ADDRESS', { count: 60, seconds: 3600 }),
    perDomain: get('SIGN_UPS_PER_DOMAIN', { count: 600, seconds: 3600 }),
    perMailbox: get('SIGN_UPS_PER_MAILBOX', { count: 5, seconds: 86_400 }),
  };
}

/**
 * Sizes of the pools of Postgres connections. Each request and each job may hold a transaction. A processor needs one
 * more for single statements about jobs and about mails, which never run inside a job's transaction: so
 * nobody holds one connection while waiting for another, and the pool cannot deadlock.
 */
export function readPool(read: SettingsReader, maxThreads: number, jobConcurrency: number): Config['databasePool'] {
  const size = read.get('DATABASE_POOL', whole(1, 1000), 'a whole number from 1 to 1000', null);
  const jobs = Math.max(3, jobConcurrency + 1);
  return { web: size ?? maxThreads, jobs: Math.max(size ?? jobs, jobConcurrency + 1) };
}

/** Reads the schema of Catamount's tables. A lower-case name means the same with quotes and without. */
export function readSchema(read: SettingsReader): string {
  const name = z.string().regex(/^(?!pg_|information_schema$)[a-z_][a-z0-9_]{0,62}$/);
  const allowed = 'a name of up to 63 lower-case letters, digits and _, such as shop, which does not begin with pg_';
  return read.get('DATABASE_SCHEMA', name, allowed, DEFAULT_SCHEMA);
}

/** @param prefix REDIS_PREFIX, or null. @returns the URL with it as a parameter of ours. */
export function withRedisPrefix(url: string, prefix: string | null): string {
  if (prefix === null) return url;
  const parsed = new URL(url);
  parsed.searchParams.set(KEY_PREFIX, `{${prefix}}`);
  return parsed.toString();
}

/** Turns off the check of certificates, unless the URL has `sslmode`: those of Heroku's servers are self-signed. */
export function asOnHeroku(url: string, server: 'Postgres' | 'Redis'): string {
  const parsed = new URL(url);
  const mode = server === 'Redis' ? redisTlsMode(url) : postgresTls(url, true);
  if (mode === 'off' || parsed.searchParams.has('sslmode')) return url;
  parsed.searchParams.set('sslmode', 'require');
  return parsed.toString();
}

/** @returns a note for the banner about a connection to Postgres or Redis; '' for one to this machine without TLS. */
export function tlsWords(url: string, mode: TlsMode): string {
  if (mode === 'off') return isThisMachine(new URL(url).hostname) ? '' : ' (no TLS)';
  const unchecked = 'certificate not checked: ?sslmode=verify-full checks it';
  return ` (TLS, ${mode === 'checked' ? 'certificate checked' : unchecked})`;
}

/** @returns the same note for SMTP, by nodemailer's options in its URL. */
export function smtpTlsWords(url: string): string {
  const { protocol, hostname, searchParams } = new URL(url);
  const is = (option: string, value: string) => searchParams.get(option) === value;
  if (is('ignoreTLS', 'true')) return isThisMachine(hostname) ? '' : ' (no TLS)';
  const insists = mustUpgrade(url) || is('requireTLS', 'true');
  const how = protocol === 'smtps:' ? 'TLS' : insists ? 'STARTTLS' : 'STARTTLS where the server offers it';
  const unchecked = is('tls.rejectUnauthorized', 'false');
  return ` (${how}, certificate ${unchecked ? 'not checked: SMTP_URL has tls.rejectUnauthorized=false' : 'checked'})`;
}

/** Reads REDIS. @returns true for a tree without Redis, which cannot have the URL of one. */
export function readRedisOff(read: SettingsReader): boolean {
  const secret = read.raw('REDIS')?.includes('@') ? 'secret' : undefined;
  const allowed = 'off, or not set: a URL belongs into REDIS_URL';
  const isOff = read.get('REDIS', z.literal('off'), allowed, null, secret) !== null;
  const named = ['REDIS_PROVIDER', ...REDIS_URLS].find((variable) => read.has(variable));
  if (isOff && named !== undefined) read.complain('REDIS', 'off', `unset, or ${named}: a tree has a Redis or none`);
  return isOff;
}

const REDIS_URLS = ['REDIS_TLS_URL', 'REDIS_URL', 'REDISTOGO_URL'];

/**
 * Reads the Redis URL. REDIS_PROVIDER *names* the variable that holds it, as with Sidekiq; without it, it is the first
 * that is set of REDIS_TLS_URL, REDIS_URL and REDISTOGO_URL. @returns null when none is.
 */
export function readRedisUrl(read: SettingsReader): string | null {
  const provider = read.raw('REDIS_PROVIDER');
  if (provider === undefined) {
    for (const variable of REDIS_URLS) {
      if (read.has(variable)) return read.get(variable, redisUrl, REDIS_URL, null, 'secret');
    }
    return null;
  }
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(provider)) {
    read.complain(
      'REDIS_PROVIDER',
      provider.replace(/\/\/.*@/, '//…@'),
      'the name of the variable that holds the URL, such as REDISTOGO_URL, not a URL itself',
    );
    return null;
  }
  if (!read.has(provider)) read.require(provider, `${REDIS_URL}, since REDIS_PROVIDER names it`);
  return read.get(provider, redisUrl, REDIS_URL, null, 'secret');
}
