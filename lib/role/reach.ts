import { EXIT, toError, UserError } from '../core/errors';
import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import { withTlsAdvice } from '../core/tls-advice';
import type { Database } from '../model/database';

/** How long a server may take to let us in, ms. */
const REACH_MS = 10_000;

/**
 * For processes that are of no use without Postgres. A stack would tell the user nothing.
 * @param doing begins the message: `Cannot migrate`.
 * @throws UserError, exit code 69, that says why it lets nobody in.
 */
export async function reachPostgres(database: Database, doing: string): Promise<void> {
  try {
    await database.ping(REACH_MS);
  } catch (thrown) {
    throw refused(doing, 'Postgres', database.url, withTlsAdvice(toError(thrown), 'Postgres'));
  }
}

/** The same of Redis; connects it. It goes on trying elsewhere, but the first refusal counts here. */
export async function reachRedis(redis: Redis, url: string, events: Events, doing: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Error>((resolve) => {
    timer = setTimeout(() => resolve(new Error(`no answer within ${REACH_MS / 1000} s`)), REACH_MS);
  });
  const ready = events.next('redis.ready').then(() => undefined);
  const lost = events.next('redis.lost').then(({ error }) => error);
  await redis.start();
  const failure = await Promise.race([ready, lost, late]);
  clearTimeout(timer);
  if (failure) throw refused(doing, 'Redis', url, failure);
}

function refused(doing: string, server: 'Postgres' | 'Redis', url: string, { message, name }: Error): UserError {
  const { host } = new URL(url);
  return new UserError(`${doing}, ${server} at ${host} does not let us in: ${message || name}`, EXIT.unavailable);
}
