import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import { deadByQueue } from '../outbox/table';
import { queueKey } from '../queue/keys';
import { countRows, rowCondition } from './outbox-rows';
import { checkFilter, type JobOutline, luaFilter, type Outlines, type PageBounds, type SetSources } from './query';
import { runWalk, type Scan, type ScanPosition, walkScript } from './scan-script';

/**
 * How many jobs a set has, at a price that one can pay every second, and without the code that moves them. A delayed job
 * of a plain bee-queue producer counts as a retry if its id is a UUID.
 */
export async function sizeOfSet(
  name: 'retry' | 'scheduled' | 'dead',
  sources: Pick<SetSources, 'redis' | 'knex' | 'queues'>,
): Promise<number> {
  if (name === 'dead') return [...(await deadByQueue(sources.knex)).values()].reduce((sum, size) => sum + size, 0);
  if (name === 'retry') return sizeInRedis(name, sources);
  return (await sizeInRedis(name, sources)) + (await countRows(sources.knex, rowCondition(checkFilter({}))));
}

/** The part of it that is in Redis: `delayed` holds two sets, so its records are looked at. */
export async function sizeInRedis(
  name: 'retry' | 'scheduled',
  { redis, queues }: Pick<SetSources, 'redis' | 'queues'>,
): Promise<number> {
  const filter = luaFilter(checkFilter({}), { retrying: name === 'retry', trustIds: true });
  const walk = { newestFirst: false, queues: [...new Set(queues)].sort(), filter };
  return (await countWalk(setWalker(redis, walk))).total;
}

/** A job as a set holds it. */
export interface FoundJob {
  readonly id: string;
  readonly queue: string;
  /** When it will run, ms since 1970; 0 where there is no such time. */
  readonly score: number;
  /** undefined: the set names a job that has no record. */
  readonly text: string | undefined;
  /** SHA-1 of the text as Redis holds it, '' without one. */
  readonly sha: string;
  /** JSON, as a run noted it last. */
  readonly progress: string | undefined;
}

/** Values of a job in a script's reply: number of its queue, id, score, record, SHA-1, progress. */
const WIDTH = 6;

export function foundJobs(queues: readonly string[], reply: readonly (string | number)[]): FoundJob[] {
  const jobs: FoundJob[] = [];
  for (let i = 0; i + WIDTH <= reply.length; i += WIDTH) {
    const [queue, id = '', score, text, sha = '', progress] = reply.slice(i, i + WIDTH).map(String);
    jobs.push({
      id,
      queue: queues[Number(queue) - 1] ?? '',
      score: Number(score),
      text: sha ? text : undefined,
      sha,
      progress: progress || undefined,
    });
  }
  return jobs;
}

/** Records that one request looks at. More would take seconds. */
const SCAN_LIMIT = 500_000;

export interface Step<Position> {
  /** Goes on behind it. */
  readonly after: Position | undefined;
  /** Matching jobs to pass over. */
  readonly skip: number;
  /** Jobs wanted. */
  readonly limit: number;
  /** Go on when there are enough, to count. */
  readonly counting: boolean;
}

export interface StepResult<Position> {
  readonly matched: number;
  readonly scanned: number;
  /** Nothing is left behind `position`. */
  readonly done: boolean;
  readonly position: Position | undefined;
  readonly jobs: readonly FoundJob[];
}

/** Looks through jobs in an order, in steps that are bounded in time, so that Redis serves others between them. */
export interface SetScanner<Position> {
  step(step: Step<Position>): Promise<StepResult<Position>>;
  positionOf(job: FoundJob): Position;
  /** How many jobs there are; undefined when that takes a walk, since there is a filter. */
  readonly size: (() => Promise<number>) | undefined;
}

interface WalkPage<Position> {
  readonly jobs: readonly FoundJob[];
  readonly total: number | undefined;
  readonly complete: boolean;
  /** Where the next page begins; undefined when nothing follows. */
  readonly next: Position | undefined;
}

/** A page of a walk, and how many jobs it has in all. */
export async function walkPage<P>(
  walker: SetScanner<P>,
  { offset, limit, count }: PageBounds,
  after: P | undefined,
): Promise<WalkPage<P>> {
  // Behind a cursor the count begins at the beginning.
  const counting = count && !walker.size && after === undefined;
  const { matched, ...page } = await run(walker, { after, skip: offset, limit, counting });
  if (!count) return { ...page, total: undefined };
  return counting ? { ...page, total: matched } : { ...page, ...(await countWalk(walker)) };
}

export async function countWalk<P>(
  walker: SetScanner<P>,
): Promise<{ readonly total: number; readonly complete: boolean }> {
  if (walker.size) return { total: await walker.size(), complete: true };
  const { matched, complete } = await run(walker, { after: undefined, skip: 0, limit: 0, counting: true });
  return { total: matched, complete };
}

async function run<P>(walker: SetScanner<P>, want: Step<P>) {
  const jobs: FoundJob[] = [];
  const enough = want.counting ? Number.POSITIVE_INFINITY : want.skip + want.limit;
  let [matched, scanned, done, position] = [0, 0, false, want.after];
  while (!done && scanned < SCAN_LIMIT && matched < enough) {
    const skip = Math.max(0, want.skip - matched);
    const step = await walker.step({ ...want, after: position, skip, limit: want.limit - jobs.length });
    jobs.push(...step.jobs);
    matched += step.matched;
    scanned += step.scanned;
    ({ done, position } = step);
  }
  const last = jobs.at(-1);
  const more = want.counting ? matched > want.skip + jobs.length : !done;
  // A page that is not full ends where the walk did.
  const next = jobs.length === want.limit ? more && last && walker.positionOf(last) : done ? undefined : position;
  return { jobs, matched, complete: done || !want.counting, next: next || undefined };
}

const ANSWER_MS = 5000;

/** Record, its SHA-1, progress. */
const PAGE_SCRIPT = walkScript(`
local function describe(text, id, p)
  return text or '', text and redis.sha1hex(text) or '', call('hget', p..'progress', id) or ''
end`);

/** Walks over the sorted sets of several queues as one. */
export function setWalker(client: RedisClient, walk: Scan): SetScanner<ScanPosition> {
  return {
    step: async (step) => {
      const { values, ...stretch } = await runWalk(PAGE_SCRIPT, client, walk, step);
      return { ...stretch, jobs: foundJobs(walk.queues, values) };
    },
    positionOf: ({ score, queue, id }) => ({ score, queue, id }),
    // That takes a walk: records tell whether a job is of the set.
    size: undefined,
  };
}

/** How many jobs the sets hold within the bounds, whatever the filter. */
export async function sizeOf(client: RedisClient, { queues, since, until }: Scan): Promise<number> {
  const [low, high] = [since ?? '-inf', until ?? '+inf'];
  const counts = queues.map((queue) => client.zCount(queueKey(queue, 'delayed'), low, high));
  const sizes = await answerWithin(ANSWER_MS, Promise.all(counts));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Jobs in one reply. */
const CHUNK = 1000;

// Class, as JSON has it between its quotes; runs that failed; name of the latest error.
const OUTLINE_SCRIPT = walkScript(`
local function describe(text)
  if not text then return '', '', '' end
  local class = string.match(text, '^{"data":{"v":%d+,"class":"(.-)","args":%[')
  if not class then
    work = work + PARSED
    local name = field(field(parse(text), 'data'), 'class')
    class = type(name) == 'string' and string.sub(cjson.encode(name), 2, -2) or ''
  end
  local o = find(text, '},"options":{"timestamp":', 1, true) or 1
  return class, string.match(text, '"attempts":(%d+)', o) or '', string.match(text, '"stacktraces":%["([%w_$.]+)', o) or ''
end`);

/** The first jobs of a walk, in its order. @param limit at most so many. */
export async function readOutlines(client: RedisClient, walk: Scan, limit: number): Promise<Outlines> {
  const jobs: JobOutline[] = [];
  let after: ScanPosition | undefined;
  let done = false;
  while (!done && jobs.length < limit) {
    const step = { after, skip: 0, limit: Math.min(CHUNK, limit - jobs.length), counting: false };
    const stretch = await runWalk(OUTLINE_SCRIPT, client, walk, step);
    for (let i = 0; i + 5 < stretch.values.length; i += 6) jobs.push(outline(walk, stretch.values, i));
    after = stretch.position;
    done = stretch.done;
  }
  return { jobs, complete: done };
}

function outline({ queues }: Scan, values: readonly (string | number)[], start: number): JobOutline {
  const [queue, id, at, name, attempts, error] = values.slice(start, start + 6);
  return {
    id: String(id),
    queue: queues[Number(queue) - 1] ?? '',
    at: Number(at),
    class: name ? className(String(name)) : undefined,
    error: error ? String(error) : undefined,
    attempts: Number(attempts) || 0,
  };
}

/** undefined: it was cut out of a record that is none. */
function className(json: string): string | undefined {
  try {
    return String(JSON.parse(`"${json}"`));
  } catch {
    return undefined;
  }
}
