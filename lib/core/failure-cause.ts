import { replyCode } from '../internals/redis-client';

/** The reasons why work is stalled, in English; other languages have `overview.sentence.cause.<cause>`. */
const CAUSES = {
  noAnswer: 'there is no answer',
  unreachable: 'the server cannot be reached, or has closed the connection',
  password: 'the server does not accept the user name or password',
  redisReadOnly: 'Redis is a replica now and takes no writes',
  redisFull: 'Redis has no memory left (maxmemory)',
  redisDenied: 'an ACL of Redis denies a command',
  redisDisk: 'Redis cannot write to its disk and takes no writes',
  redisBusy: 'Redis loads its data or runs a script that does not end',
  redisCluster: 'Redis is in cluster mode, which cannot be used',
  redisReplicas: 'Redis has lost its primary or its replicas',
  postgresConnections: 'Postgres has no connection left for this role',
  postgresDisk: 'the disk of Postgres is full',
  postgresReadOnly: 'Postgres is read-only',
  locked: 'somebody holds a lock in Postgres',
  cronLocked: 'another process has locked the row of a recurring job',
  poolEmpty: 'every connection of the pool to Postgres is in use',
  diskFull: 'the disk is full',
  frozen: 'its process does not answer',
  boots: 'it is still booting',
  quiet: 'an operator has told it to be quiet',
  paused: 'an operator has paused the queue',
  other: 'it fails',
} as const;
export type FailureCause = keyof typeof CAUSES;
export const FAILURE_CAUSES = Object.keys(CAUSES) as readonly FailureCause[];

/** The parts of a tree's jobs that can stall, in English; other languages have `overview.sentence.part.<part>`. */
const PARTS = {
  fetch: 'fetching jobs',
  dispatch: 'looking for jobs that are due',
  listen: 'listening for new jobs',
  cron: 'enqueuing recurring jobs',
  mail: 'sending mail',
  processor: 'the job processor',
  queue: 'a queue with jobs',
} as const;
export type StalledPart = keyof typeof PARTS;
export const STALLED_PARTS = Object.keys(PARTS) as readonly StalledPart[];

export interface AboutStandstill {
  readonly part: string;
  readonly cause: string;
  readonly spanMs: number;
  /** The queue concerned, or the error's message; empty where neither is known. */
  readonly about: string;
  /** The part and the cause in English. */
  readonly words: string;
  readonly reason: string;
}

export function causeText(cause: string): string {
  return CAUSES[cause as FailureCause] ?? CAUSES.other;
}

/** What a server refuses that does answer. */
const REFUSALS: Partial<Record<string, 'refusesWrites' | 'refusesCommands' | 'refusesConnections'>> = {
  redisReadOnly: 'refusesWrites',
  redisFull: 'refusesWrites',
  redisDisk: 'refusesWrites',
  redisReplicas: 'refusesWrites',
  redisDenied: 'refusesCommands',
  redisBusy: 'refusesCommands',
  redisCluster: 'refusesCommands',
  password: 'refusesConnections',
  postgresConnections: 'refusesConnections',
};

/** @returns undefined for a server that does not answer. */
export function refusalOf(cause: string) {
  return REFUSALS[cause];
}

export function partText(part: string): string {
  return PARTS[part as StalledPart] ?? part;
}

/** Says of the whole processor that it stands still. */
export function aboutProcessor(cause: FailureCause): Omit<AboutStandstill, 'spanMs'> {
  return { part: 'processor', cause, about: '', words: PARTS.processor, reason: CAUSES[cause] };
}

/** First words of Redis's error replies, codes of Postgres (SQLSTATE), of Node and of nodemailer. */
const CODES: Partial<Record<FailureCause, readonly string[]>> = {
  redisReadOnly: ['READONLY'],
  redisFull: ['OOM'],
  redisDenied: ['NOPERM'],
  redisDisk: ['MISCONF'],
  redisBusy: ['LOADING', 'BUSY'],
  redisReplicas: ['MASTERDOWN', 'NOREPLICAS'],
  redisCluster: ['CROSSSLOT', 'CLUSTERDOWN', 'MOVED'],
  password: ['NOAUTH', 'WRONGPASS', '28P01', '28000', 'EAUTH'],
  postgresConnections: ['53300'],
  postgresDisk: ['53100'],
  postgresReadOnly: ['25006'],
  locked: ['55P03', '57014'],
  diskFull: ['ENOSPC', 'EDQUOT', 'EFBIG'],
  noAnswer: ['ETIMEDOUT'],
  unreachable: [
    ...[
      'ECONNREFUSED',
      'ECONNRESET',
      'ECONNECTION',
      'ENOTFOUND',
      'EDNS',
      'EAI_AGAIN',
      'EHOSTUNREACH',
      'ESOCKET',
      'EPIPE',
    ],
    ...['08001', '08006', '08P01', '57P01', '57P02', '57P03'],
  ],
};
const BY_CODE = new Map(
  Object.entries(CODES).flatMap(([cause, codes]) => codes.map((code) => [code, cause as FailureCause] as const)),
);

const NAMES: Readonly<Record<string, FailureCause>> = {
  NoConnectionError: 'unreachable',
  RowLockedError: 'cronLocked',
  RedisTimeoutError: 'noAnswer',
  TimeoutError: 'noAnswer',
  KnexTimeoutError: 'noAnswer',
};

/** How messages begin that come without a code: our own, and those of pg, knex and redis. */
const MESSAGES: readonly (readonly [RegExp, FailureCause])[] = [
  [/^Knex: Timeout acquiring a connection/, 'poolEmpty'],
  [
    /^(?:no answer|the SMTP server did not accept|timeout expired|Query read timeout|Connection timeout|Socket timeout)/,
    'noAnswer',
  ],
  [/^(?:Connection terminated|Client has encountered|Postgres ended|Socket closed)/, 'unreachable'],
];

/**
 * Finds the cause by the codes of the error and of the errors that caused it: SQLSTATE, codes of Node and nodemailer, and the
 * first word of an error reply of Redis. A message counts only without a code, and only its beginning, since the rest may be a
 * statement or anybody's text.
 * @returns the cause.
 */
export function causeOf(error: Error): FailureCause {
  for (let one: unknown = error, depth = 0; one instanceof Error && depth < 4; one = one.cause, depth++) {
    const code = 'code' in one ? String(one.code) : '';
    const byCode = BY_CODE.get(code) ?? BY_CODE.get(replyCode(one));
    const cause = byCode ?? (code === '' ? byMessage(one.message) : undefined) ?? NAMES[one.name];
    if (cause) return cause;
  }
  return 'other';
}

function byMessage(message: string): FailureCause | undefined {
  return MESSAGES.find(([beginning]) => beginning.test(message))?.[1];
}
