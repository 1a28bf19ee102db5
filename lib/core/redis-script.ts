import { createHash } from 'node:crypto';
import { isNoScript } from '../internals/redis-client';
import { withTimeout } from '../support/deadline';
import type { RedisClient } from './redis';

/** Default timeout of a script's reply, ms. */
const ANSWER_MS = 5000;

/** A Lua script for the shared redis 6 client, sent again when Redis no longer has it (restart, SCRIPT FLUSH). */
export class RedisScript {
  private readonly sha: string;

  constructor(private readonly source: string) {
    this.sha = createHash('sha1').update(source).digest('hex');
  }

  /**
   * @param limitMs timeout of the reply, ms. Default 5,000.
   * @throws RedisTimeoutError when there is no reply within `limitMs`; the script may run all the same, even later.
   */
  run(client: RedisClient, keys: string[], args: string[], limitMs: number = ANSWER_MS): Promise<unknown> {
    return answerWithin(limitMs, this.send(client, keys, args));
  }

  /** The same without a timeout. */
  async send(client: RedisClient, keys: string[], args: string[]): Promise<unknown> {
    const options = { keys, arguments: args };
    try {
      return await client.evalSha(this.sha, options);
    } catch (error) {
      if (!isNoScript(error)) throw error;
      return client.eval(this.source, options);
    }
  }
}

/** Redis has not replied in time; it may still execute the command. */
export class RedisTimeoutError extends Error {
  override readonly name = 'RedisTimeoutError';

  constructor(limitMs: number) {
    super(`Redis did not answer within ${limitMs} ms`);
  }
}

/**
 * Limits the wait for a reply. The client's own timeout does not cover a Redis that takes a command and never replies.
 * @throws RedisTimeoutError.
 */
export function answerWithin<T>(limitMs: number, answer: Promise<T>): Promise<T> {
  return withTimeout(answer, limitMs, () => new RedisTimeoutError(limitMs));
}

/** @returns the fields of INFO's reply, by name. */
export function readInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split(/\r?\n/).map((line) => [line, line.indexOf(':')] as const);
  return new Map(lines.flatMap(([line, at]) => (at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [])));
}
