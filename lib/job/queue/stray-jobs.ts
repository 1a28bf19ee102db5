import type { RedisClient } from '../../core/redis';
import { keyPrefix, queueKey } from '../redis/keys';
import { answerWithin } from '../redis/redis-script';
import { COUNT_SCRIPT, PUT_BACK_SCRIPT, SCAN_SCRIPT } from './stray-scripts';

const ANSWER_MS = 5000;
/** Elements of a list, or candidates, per call. */
const PAGE = 500;
/** A walk may take this part of the time at most, should a mismatch last that it cannot mend. */
const WALK_SHARE = 0.05;
/** A process that is not listed shows itself once a second if it lives, ms. */
const UNLISTED_MS = 5000;

export interface StrayJobsOptions {
  readonly redis: RedisClient;
  /** Whether this process is running the job. */
  readonly isRunning: (id: string) => boolean;
  readonly onRestored: (queue: string, count: number) => void;
}

/**
 * Finds jobs whose records Redis has but which are on no list, after a part of its data was lost, and puts them back. As a
 * rule that is one call that compares numbers; only where these differ are the records walked, in calls of a few ms.
 */
export class StrayJobs {
  private readonly notBefore = new Map<string, number>();
  /** By id: since when it has been seen in the hand of a process that is not listed. */
  private unlistedSince = new Map<string, number>();

  constructor(private readonly options: StrayJobsOptions) {}

  async look(queues: readonly string[]): Promise<void> {
    if (queues.length === 0) return;
    const { redis, onRestored } = this.options;
    const differ = String(await COUNT_SCRIPT.run(redis, queues.map(keyPrefix), []));
    for (const [index, queue] of queues.entries()) {
      const began = performance.now();
      if (differ[index] !== '1' || began < (this.notBefore.get(queue) ?? 0)) continue;
      const restored = await this.walk(queue);
      const ended = performance.now();
      this.notBefore.set(queue, ended + (ended - began) / WALK_SHARE);
      if (restored > 0) onRestored(queue, restored);
    }
  }

  /** @returns how many were put back. */
  private async walk(queue: string): Promise<number> {
    const { enqueuedAt, heldKeys } = await this.scan(queue);
    // Behind the records, so that what moves on meanwhile is not taken for lost; the script looks once more anyway.
    for (const key of [...heldKeys, queueKey(queue, 'waiting'), queueKey(queue, 'active')]) {
      for await (const id of this.elements(key)) enqueuedAt.delete(id);
    }
    const strays = [...enqueuedAt].sort(([, one], [, other]) => one - other).map(([id]) => id);
    return this.putBack(
      queue,
      strays.filter((id) => !this.options.isRunning(id)),
    );
  }

  private async scan(queue: string): Promise<{ enqueuedAt: Map<string, number>; heldKeys: readonly string[] }> {
    const enqueuedAt = new Map<string, number>();
    let heldKeys: readonly string[] = [];
    let cursor = '0';
    do {
      const reply = (await SCAN_SCRIPT.run(this.options.redis, [keyPrefix(queue)], [cursor])) as unknown[];
      const [next, keys, ...pairs] = reply;
      for (let i = 0; i < pairs.length; i += 2) enqueuedAt.set(String(pairs[i]), Number(pairs[i + 1]));
      heldKeys = keys as string[];
      cursor = String(next);
    } while (cursor !== '0');
    return { enqueuedAt, heldKeys };
  }

  private async *elements(key: string): AsyncGenerator<string> {
    for (let from = 0; ; from += PAGE) {
      const page = await answerWithin(ANSWER_MS, this.options.redis.lRange(key, from, from + PAGE - 1));
      yield* page;
      if (page.length < PAGE) return;
    }
  }

  private async putBack(queue: string, strays: readonly string[]): Promise<number> {
    const now = performance.now();
    const unlisted = new Map<string, number>();
    let restored = 0;
    for (let done = 0; done < strays.length; ) {
      const asked = strays.slice(done, done + PAGE);
      const args = asked.flatMap((id) => [id, now - (this.unlistedSince.get(id) ?? now) >= UNLISTED_MS ? '1' : '0']);
      const states = String(await PUT_BACK_SCRIPT.run(this.options.redis, [keyPrefix(queue)], args));
      for (const [index, state] of [...states].entries()) {
        const id = asked[index];
        if (state === 'p') restored++;
        if (state === 'u' && id !== undefined) unlisted.set(id, this.unlistedSince.get(id) ?? now);
      }
      done += Math.max(1, states.length);
    }
    this.unlistedSince = unlisted;
    return restored;
  }
}
