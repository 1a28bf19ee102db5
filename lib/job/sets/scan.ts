import type { RedisClient } from '../../core/redis';
import { answerWithin } from '../../core/redis-script';
import { deadByQueue } from '../outbox/table';
import { queueKey } from '../queue/keys';
import { countRows, rowCondition } from './outbox-rows';
import { checkFilter, type JobOutline, luaFilter, type Outlines, type PageBounds, type SetSources } from './query';
import { runScan, type Scan, type ScanPosition, scanScript } from './scan-script';

/**
 * Counts the jobs of a set, cheaply enough for every second, and without loading the code that moves them. A delayed
 * job of a plain bee-queue producer counts as a retry if its id is a UUID.
 */
export async function sizeOfSet(
  name: 'retry' | 'scheduled' | 'dead',
  sources: Pick<SetSources, 'redis' | 'knex' | 'queues'>,
): Promise<number> {
  if (name === 'dead') return [...(await deadByQueue(sources.knex)).values()].reduce((sum, size) => sum + size, 0);
  if (name === 'retry') return sizeInRedis(name, sources);
  return (await sizeInRedis(name, sources)) + (await countRows(sources.knex, rowCondition(checkFilter({}))));
}

/** Counts the part of the set in Redis. `delayed` holds two sets, so records that are not ours are read. */
export async function sizeInRedis(
  name: 'retry' | 'scheduled',
  { redis, queues }: Pick<SetSources, 'redis' | 'queues'>,
): Promise<number> {
  const filter = luaFilter(checkFilter({}), { retrying: name === 'retry', trustIds: true });
  const scan = { newestFirst: false, queues: [...new Set(queues)].sort(), filter };
  return (await countScan(createScanner(redis, scan))).total;
}

/** A job as a set holds it. */
export interface FoundJob {
  readonly id: string;
  readonly queue: string;
  /** Time of the next run, ms since 1970; 0 for a waiting job. */
  readonly score: number;
  /** The record; undefined when the set names a job that has none. */
  readonly text: string | undefined;
  /** SHA-1 of the text as Redis holds it, '' without one. */
  readonly sha: string;
  /** The run's latest progress, as JSON. */
  readonly progress: string | undefined;
}

/** Number of values per job in a script's reply: queue number, id, score, record, SHA-1, progress. */
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

/** Maximum number of jobs that one request scans; more would take seconds. */
const SCAN_LIMIT = 500_000;

export interface ScanStep<P> {
  /** The step begins after this position. */
  readonly after: P | undefined;
  /** Matching jobs to skip. */
  readonly skip: number;
  /** Jobs wanted. */
  readonly limit: number;
  /** true: the scan continues when there are enough jobs, to count the rest. */
  readonly counting: boolean;
}

export interface ScanStepResult<P> {
  readonly matched: number;
  readonly scanned: number;
  /** true: no job is left after `position`. */
  readonly done: boolean;
  readonly position: P | undefined;
  readonly jobs: readonly FoundJob[];
}

/** Scans jobs in order, in steps that are bounded in time, so that Redis serves others between them. */
export interface SetScanner<P> {
  step(step: ScanStep<P>): Promise<ScanStepResult<P>>;
  positionOf(job: FoundJob): P;
  /** Counts the jobs cheaply; undefined when only a scan can count them. */
  readonly size: (() => Promise<number>) | undefined;
}

interface ScanPage<P> {
  readonly jobs: readonly FoundJob[];
  readonly total: number | undefined;
  readonly complete: boolean;
  /** The position after which the next page begins; undefined when nothing follows. */
  readonly next: P | undefined;
}

/** Reads a page of a scan, and counts all matching jobs when that is wanted. */
export async function scanPage<P>(
  scanner: SetScanner<P>,
  { offset, limit, count }: PageBounds,
  after: P | undefined,
): Promise<ScanPage<P>> {
  // After a cursor the count takes a scan of its own, from the beginning.
  const counting = count && !scanner.size && after === undefined;
  const { matched, ...page } = await run(scanner, { after, skip: offset, limit, counting });
  if (!count) return { ...page, total: undefined };
  return counting ? { ...page, total: matched } : { ...page, ...(await countScan(scanner)) };
}

export async function countScan<P>(
  scanner: SetScanner<P>,
): Promise<{ readonly total: number; readonly complete: boolean }> {
  if (scanner.size) return { total: await scanner.size(), complete: true };
  const { matched, complete } = await run(scanner, { after: undefined, skip: 0, limit: 0, counting: true });
  return { total: matched, complete };
}

async function run<P>(scanner: SetScanner<P>, want: ScanStep<P>) {
  const jobs: FoundJob[] = [];
  const enough = want.counting ? Number.POSITIVE_INFINITY : want.skip + want.limit;
  let [matched, scanned, done, position] = [0, 0, false, want.after];
  while (!done && scanned < SCAN_LIMIT && matched < enough) {
    const skip = Math.max(0, want.skip - matched);
    const step = await scanner.step({ ...want, after: position, skip, limit: want.limit - jobs.length });
    jobs.push(...step.jobs);
    matched += step.matched;
    scanned += step.scanned;
    ({ done, position } = step);
  }
  const last = jobs.at(-1);
  const more = want.counting ? matched > want.skip + jobs.length : !done;
  // A page that is not full ends where the scan did.
  const next = jobs.length === want.limit ? more && last && scanner.positionOf(last) : done ? undefined : position;
  return { jobs, matched, complete: done || !want.counting, next: next || undefined };
}

const ANSWER_MS = 5000;

/** Describes a job by its record, the record's SHA-1, and its progress. */
const PAGE_SCRIPT = scanScript(`
local function describe(text, id, p)
  return text or '', text and redis.sha1hex(text) or '', call('hget', p..'progress', id) or ''
end`);

/** Scans the `delayed` sets of several queues as one. */
export function createScanner(client: RedisClient, scan: Scan): SetScanner<ScanPosition> {
  return {
    step: async (step) => {
      const { values, ...chunk } = await runScan(PAGE_SCRIPT, client, scan, step);
      return { ...chunk, jobs: foundJobs(scan.queues, values) };
    },
    positionOf: ({ score, queue, id }) => ({ score, queue, id }),
    // Only records tell the retry and the scheduled set apart, so counting takes a scan.
    size: undefined,
  };
}

/** Counts the jobs of the `delayed` sets within the bounds, whatever the filter. */
export async function sizeOf(client: RedisClient, { queues, since, until }: Scan): Promise<number> {
  const [low, high] = [since ?? '-inf', until ?? '+inf'];
  const counts = queues.map((queue) => client.zCount(queueKey(queue, 'delayed'), low, high));
  const sizes = await answerWithin(ANSWER_MS, Promise.all(counts));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Maximum number of jobs in one reply. */
const CHUNK = 1000;

// Describes a job by its class, JSON-encoded without its quotes; its failed runs; the name of its latest error.
const OUTLINE_SCRIPT = scanScript(`
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

/** Reads the first jobs of a scan that begins with the oldest, in its order. @param limit maximum number of jobs. */
export async function readOutlines(client: RedisClient, scan: Scan, limit: number): Promise<Outlines> {
  const jobs: JobOutline[] = [];
  let after: ScanPosition | undefined;
  let done = false;
  while (!done && jobs.length < limit) {
    const step = { after, skip: 0, limit: Math.min(CHUNK, limit - jobs.length), counting: false };
    const chunk = await runScan(OUTLINE_SCRIPT, client, scan, step);
    for (let i = 0; i + 5 < chunk.values.length; i += 6) jobs.push(readOutline(scan, chunk.values, i));
    after = chunk.position;
    done = chunk.done;
  }
  return { jobs, complete: done };
}

function readOutline({ queues }: Scan, values: readonly (string | number)[], start: number): JobOutline {
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

/** @returns undefined when the text is not JSON, since the record is malformed. */
function className(json: string): string | undefined {
  try {
    return String(JSON.parse(`"${json}"`));
  } catch {
    return undefined;
  }
}
