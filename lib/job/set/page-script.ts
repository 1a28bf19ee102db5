import type { RedisClient } from '../../core/redis';
import { queueKey } from '../redis/keys';
import { answerWithin } from '../redis/redis-script';
import { foundJobs } from './found-job';
import type { Walker } from './walk';
import { type Position, runWalk, type Walk, walkScript } from './walk-script';

const ANSWER_MS = 5000;

/** Record, its SHA-1, progress. */
const SCRIPT = walkScript(`
local function describe(text, id, p)
  return text or '', text and redis.sha1hex(text) or '', call('hget', p..'progress', id) or ''
end`);

/** Walks over the sorted sets of several queues as one. */
export function setWalker(client: RedisClient, walk: Walk): Walker<Position> {
  return {
    step: async (step) => {
      const { values, ...stretch } = await runWalk(SCRIPT, client, walk, step);
      return { ...stretch, jobs: foundJobs(walk.queues, values) };
    },
    positionOf: ({ score, queue, id }) => ({ score, queue, id }),
    size: walk.filter === '' ? () => sizeOf(client, walk) : undefined,
  };
}

/** How many jobs the sets hold within the bounds, whatever the filter. */
export async function sizeOf(client: RedisClient, { queues, key, since, until }: Walk): Promise<number> {
  const [low, high] = [since ?? '-inf', until ?? '+inf'];
  const counts = queues.map((queue) => client.zCount(queueKey(queue, key), low, high));
  const sizes = await answerWithin(ANSWER_MS, Promise.all(counts));
  return sizes.reduce((sum, size) => sum + size, 0);
}
