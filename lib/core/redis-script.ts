import { createHash } from 'node:crypto';
import { isNoScript } from '../internals/redis-errors';
import type { RedisClient } from './redis';

/** How long a script may take to answer before its caller goes on without it, ms. */
const ANSWER_MS = 5000;

/** A Lua script run through the shared redis 6 client. A Redis that has forgotten it (restart, SCRIPT FLUSH) is told again. */
export class RedisScript {
  private readonly sha: string;

  constructor(private readonly source: string) {
    this.sha = createHash('sha1').update(source).digest('hex');
  }

  /**
   * @param onLate is given an answer that comes when nobody waits for it any more.
   * @throws Error when there is no answer within `limitMs`; the script may run all the same, then or later.
   */
  run(
    client: RedisClient,
    keys: string[],
    args: string[],
    limitMs: number = ANSWER_MS,
    onLate?: (answer: unknown) => void,
  ): Promise<unknown> {
    return answerWithin(limitMs, this.evaluate(client, { keys, arguments: args }), onLate);
  }

  private async evaluate(client: RedisClient, options: { keys: string[]; arguments: string[] }): Promise<unknown> {
    try {
      return await client.evalSha(this.sha, options);
    } catch (error) {
      if (!isNoScript(error)) throw error;
      return client.eval(this.source, options);
    }
  }
}

/** Redis has not answered yet; it may still do what it was asked for. */
export class RedisTimeoutError extends Error {
  override readonly name = 'RedisTimeoutError';

  constructor(limitMs: number) {
    super(`Redis did not answer within ${limitMs} ms`);
  }
}

/**
 * The client's own time limit ends when a command has been written; a Redis that takes it and never answers needs this.
 */
export async function answerWithin<T>(limitMs: number, answer: Promise<T>, onLate?: (answer: T) => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new RedisTimeoutError(limitMs));
      if (onLate) answer.then(onLate, () => undefined);
    }, limitMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
