import type { RedisClient } from '../../core/redis';
import { queueKey } from '../redis/keys';
import { answerWithin } from '../redis/redis-script';
import type { PageBounds } from './page';
import { type FoundJob, type Position, type StepResult, type Walk, walkStep } from './page-script';

/** Records that one request looks at. More would take a second or so. */
const SCAN_LIMIT = 500_000;
const ANSWER_MS = 5000;

export interface WalkPage {
  readonly jobs: readonly FoundJob[];
  readonly total: number | undefined;
  readonly complete: boolean;
  /** Where the next page begins; undefined when nothing follows. */
  readonly next: Position | undefined;
}

/** A page of a walk, and how many there are; in steps between which Redis serves others. */
export async function walkPage(
  redis: RedisClient,
  walk: Walk,
  { offset, limit, count }: PageBounds,
  after: Position | undefined,
): Promise<WalkPage> {
  // Without a filter the sizes tell; behind a cursor the count begins at the beginning.
  const countsAlong = count && walk.filter !== '' && after === undefined;
  const run = await runWalk(redis, walk, { after, offset, limit, counting: countsAlong });
  if (!count) return { ...run, total: undefined, complete: true };
  if (countsAlong) return { ...run, total: run.matched };
  return { ...run, ...(await countWalk(redis, walk)) };
}

export async function countWalk(
  redis: RedisClient,
  walk: Walk,
): Promise<{ readonly total: number; readonly complete: boolean }> {
  if (walk.filter === '') return { total: await sizeOf(redis, walk), complete: true };
  const { matched, complete } = await runWalk(redis, walk, { after: undefined, offset: 0, limit: 0, counting: true });
  return { total: matched, complete };
}

/** How many jobs the sets hold, whatever the filter. */
export async function sizeOf(redis: RedisClient, { queues, key }: Pick<Walk, 'queues' | 'key'>): Promise<number> {
  const sizes = await answerWithin(ANSWER_MS, Promise.all(queues.map((queue) => redis.zCard(queueKey(queue, key)))));
  return sizes.reduce((sum, size) => sum + size, 0);
}

interface Run {
  readonly jobs: readonly FoundJob[];
  readonly matched: number;
  readonly complete: boolean;
  readonly next: Position | undefined;
}

async function runWalk(
  redis: RedisClient,
  walk: Walk,
  want: { readonly after: Position | undefined; offset: number; limit: number; readonly counting: boolean },
): Promise<Run> {
  const jobs: FoundJob[] = [];
  let [matched, scanned, position] = [0, 0, want.after];
  let step: StepResult;
  do {
    const skip = Math.max(0, want.offset - matched);
    step = await walkStep(redis, walk, {
      after: position,
      skip,
      limit: want.limit - jobs.length,
      counting: want.counting,
    });
    jobs.push(...step.jobs);
    matched += step.matched;
    scanned += step.scanned;
    position = step.position;
  } while (!step.done && scanned < SCAN_LIMIT && (want.counting || matched < want.offset + want.limit));
  const full = jobs.length === want.limit;
  const last = jobs.at(-1);
  const behind = want.counting ? matched > want.offset + jobs.length : !step.done;
  const complete = step.done || !want.counting;
  if (!full) return { jobs, matched, complete, next: step.done ? undefined : position };
  return { jobs, matched, complete, next: behind && last ? { ...last } : undefined };
}
