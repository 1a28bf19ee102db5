import { lookAt, readState, type TreeState } from '../../cluster/control/state-file';
import type { Config, ServerUrls } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import { Events } from '../../core/events';
import type { Redis } from '../../core/redis';
import { withRedisPrefix } from '../../core/redis-settings';
import { redisPlace } from '../../core/redis-url';
import { withTlsAdvice } from '../../core/tls';
import type { Database } from '../../model/database';
import { Deadline, valueWithin } from '../../support/deadline';
import { toError } from '../../support/to-error';
import { openDatabase } from '../app/open-database';

/** Time limit for the first connection, ms. */
const REACH_MS = 10_000;

/**
 * Connects a process that is useless without Postgres. A stack would not help its user.
 * @param purpose beginning of the message: `Cannot migrate`.
 * @throws UserError, exit code 69, with the reason why Postgres does not accept the connection.
 */
export async function connectOrFail(database: Database, purpose: string): Promise<void> {
  try {
    await database.ping(REACH_MS);
  } catch (thrown) {
    throw refused(purpose, 'Postgres', database.url, withTlsAdvice(toError(thrown), 'Postgres'));
  }
}

/**
 * Connects to Redis. Elsewhere the client keeps retrying; here the first failure is final.
 * @throws UserError, exit code 69, or 78 for a Redis that is too old for the client.
 */
export async function reachRedis(redis: Redis, url: string, events: Events, purpose: string): Promise<void> {
  const ready = events.next('redis.ready').then(() => undefined);
  const lost = events.next('redis.lost').then(({ error }) => error);
  await redis.start();
  const late = new Error(`no answer within ${REACH_MS / 1000} s`);
  const failure = await valueWithin(Promise.race([ready, lost]), REACH_MS, late);
  if (failure) {
    const fault = (await import('../checks/redis')).greetingFault(failure);
    if (fault !== undefined) throw new UserError(`${purpose}, Redis at ${redisPlace(url)} ${fault}`, EXIT.config);
    throw refused(purpose, 'Redis', url, failure);
  }
}

function refused(purpose: string, server: 'Postgres' | 'Redis', url: string, error: Error): UserError {
  const said = `${purpose}, ${server} at ${redisPlace(url)} does not let us in: ${error.message || error.name}`;
  const remedy = remedyFor(error, server === 'Postgres' ? 'DATABASE_URL' : 'REDIS_URL');
  return new UserError(`${said}${remedy && `: ${remedy}`}`, EXIT.unavailable);
}

function remedyFor(error: Error, variable: string): string {
  const code = 'code' in error ? String(error.code) : '';
  if (/^28|WRONGPASS|NOAUTH/.test(code) || /^(?:WRONGPASS|NOAUTH)/.test(error.message))
    return `give ${variable} the right user and password`;
  if (code === '3D000') return `create that database, or name another in ${variable}`;
  if (/^E(?:CONN|NOTFOUND|HOST|NET|AI_AGAIN|TIMEDOUT)/.test(code)) return `start it, or give ${variable} its address`;
  return '';
}

/**
 * URLs for a process that no primary has started: from the settings, or of the embedded servers that run in this
 * folder. Redis is off (null) where it is for the tree that runs here.
 * @throws UserError, exit code 69, when there are neither.
 */
export async function resolvedUrls(config: Config): Promise<Pick<ServerUrls, 'database' | 'redis'>> {
  const { databaseUrl, redisUrl, redisOff, redisPrefix, stateDir } = config;
  if (databaseUrl !== null && (redisUrl !== null || redisOff)) return { database: databaseUrl, redis: redisUrl };
  // Never loaded in production, where readSettings requires both URLs, or one and REDIS=off.
  const { findRunningServers } = await import('../../embedded/embedded-servers');
  const running = await findRunningServers(stateDir);
  const database = databaseUrl ?? running.databaseUrl ?? absent(config, 'DATABASE_URL', 'Postgres');
  if (redisUrl !== null || redisOff || treeHere(config)?.redisOff) return { database, redis: redisUrl };
  return { database, redis: withRedisPrefix(running.redisUrl ?? absent(config, 'REDIS_URL', 'Redis'), redisPrefix) };
}

function treeHere({ control }: Config): TreeState | undefined {
  const state = readState(control.stateFile);
  return state && lookAt(state.pid) === 'alive' ? state : undefined;
}

function absent(config: Config, variable: string, server: string): never {
  const why = `${variable} is not set, and no embedded ${server} runs in ${config.stateDir}`;
  const state = treeHere(config);
  const advice = state
    ? `The tree that runs here, pid ${state.pid}, has a ${server} of its own: set ${variable} as it is set there`
    : `Start the tree (npm start), go to its folder, or set ${variable}${server === 'Redis' ? ' or REDIS=off' : ''}`;
  throw new UserError(`${why}. ${advice}.`, EXIT.unavailable);
}

/** Time limit for closing a command's connections, ms. */
const STOP_MS = 5000;

/**
 * Lends a command the database itself, past a pooler: that of the settings, or the embedded one that runs in this folder.
 * @param purpose beginning of the message when Postgres does not answer.
 * @throws UserError, exit code 69, when there is none, or it does not answer.
 */
export async function withDatabase<T>(
  config: Config,
  purpose: string,
  work: (database: Database) => Promise<T>,
): Promise<T> {
  const url = config.databaseDirectUrl ?? config.databaseUrl ?? (await resolvedUrls(config)).database;
  const database = openDatabase(config, url, new Events(), 2);
  try {
    await connectOrFail(database, purpose);
    return await work(database);
  } finally {
    await database.stop(Deadline.after(STOP_MS));
  }
}
