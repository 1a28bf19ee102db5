import type { RedisClient } from '../../core/redis';
import { RedisScript, RedisTimeoutError } from '../../core/redis-script';
import { chunks } from '../../support/chunks';
import { isUuid } from '../../support/uuid';
import type { ReadyJob } from '../row/claim';
import { queueKey } from './keys';

/** Ids that a queue may have in Redis. A small plan has 25 MB; the dispatcher hints at what waits beyond that. */
export const MAX_HINTS = 10_000;
/** Ids in one script call, so that it never blocks Redis for long. */
const CHUNK = 1000;
/** Timeout of a reply, ms. A hint that comes late, or twice, does no harm. */
const ANSWER_MS = 250;
/** No hint is sent for this long after a timeout, ms: a frozen Redis would delay every one. */
const AVOID_MS = 1000;

// KEYS  lists of queues
// ARGV  1 'head' or 'tail'  2 the most ids that a list may have, then for each id the number of its list, and itself
// reply how many were put there
const PUSH = new RedisScript(`
local call, put, count = redis.call, ARGV[1] == 'head' and 'rpush' or 'lpush', 0
for a = 3, #ARGV, 2 do
  local list = KEYS[tonumber(ARGV[a])]
  if ARGV[1] == 'head' or call('llen', list) < tonumber(ARGV[2]) then call(put, list, ARGV[a + 1]); count = count + 1 end
end
return count`);

/** The list of a queue in Redis. */
interface HintList {
  readonly length: number;
  /** Ids of the next job and of the last; undefined when there is none of ours. */
  readonly next: string | undefined;
  readonly last: string | undefined;
}

// KEYS lists of queues   reply for each: its length, its next and its last id, or ''
const READ = new RedisScript(`
local call, out = redis.call, {}
for _, list in ipairs(KEYS) do
  for _, value in ipairs({ call('llen', list), call('lindex', list, -1) or '', call('lindex', list, 0) or '' }) do out[#out + 1] = value end
end
return out`);

/**
 * Says where to look: puts the ids of jobs that are ready on their queues in Redis. Nothing else of ours is there, so a hint may
 * be lost, come twice, or outlive its job: the claim decides.
 */
export class Hints {
  private avoidUntil = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly redis: RedisClient,
    private readonly answerMs = ANSWER_MS,
  ) {}

  /**
   * @param at `head`: they are fetched before the others. Default `tail`.
   * @returns `full`: a queue has so many hints that the dispatcher adds the others later. `failed`: Redis does not answer, so some
   * may be missing. Never rejects.
   */
  async push(jobs: readonly ReadyJob[], at: 'head' | 'tail' = 'tail'): Promise<'pushed' | 'full' | 'failed'> {
    if (jobs.length === 0) return 'pushed';
    if (!this.redis.isReady || performance.now() < this.avoidUntil) return 'failed';
    try {
      let count = 0;
      // At the head the first one comes last.
      const ordered = at === 'head' ? [...jobs].reverse() : jobs;
      for (const chunk of chunks(ordered, () => 0, { bytes: 0, count: CHUNK }))
        count += await this.pushChunk(chunk, at);
      return count === jobs.length ? 'pushed' : 'full';
    } catch (error) {
      this.avoidFrozen(error);
      return 'failed';
    }
  }

  /** Reads the lists of these queues. @returns undefined when Redis does not answer. Never rejects. */
  async read(queues: readonly string[]): Promise<HintList[] | undefined> {
    if (queues.length === 0) return [];
    if (!this.redis.isReady || performance.now() < this.avoidUntil) return undefined;
    const keys = queues.map((queue) => queueKey(queue, 'waiting'));
    try {
      const reply = (await READ.run(this.redis, keys, [], this.answerMs)) as (string | number)[];
      return queues.map((_, index) => {
        const [length, next, last] = reply.slice(index * 3, index * 3 + 3);
        return { length: Number(length), next: idOf(next), last: idOf(last) };
      });
    } catch (error) {
      this.avoidFrozen(error);
      return undefined;
    }
  }

  private avoidFrozen(error: unknown): void {
    if (error instanceof RedisTimeoutError) this.avoidUntil = performance.now() + AVOID_MS;
  }

  private async pushChunk(jobs: readonly ReadyJob[], at: 'head' | 'tail'): Promise<number> {
    const lists = [...new Set(jobs.map(({ queue }) => queue))];
    const args = jobs.flatMap(({ id, queue }) => [String(lists.indexOf(queue) + 1), id]);
    const keys = lists.map((queue) => queueKey(queue, 'waiting'));
    return Number(await PUSH.run(this.redis, keys, [at, String(MAX_HINTS), ...args], this.answerMs));
  }
}

/** Plain producers may have put anything there. */
function idOf(reply: string | number | undefined): string | undefined {
  const text = String(reply);
  return isUuid(text) ? text : undefined;
}
