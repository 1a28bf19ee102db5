import type { Rollup, RollupCounters } from '../cluster/status';
import type { RedisClient } from '../core/redis';
import { answerWithin, RedisScript } from '../core/redis-script';
import type { Slowest } from '../core/request-counts';
import { figuresKey, writtenKey } from './keys';

/** The place under which the rollups of all trees are added up. */
export const ALL_TREES = 'all';
/** Time for which the number of the last rollup is remembered, s. */
const MAX_AGE_S = 86_400;

/** One step of a ring, as JSON. Its names are short, since they are stored with each step. */
interface StoredBucket {
  /** Start of the step, s since 1970. */
  readonly t: number;
  readonly s: Readonly<Record<string, number>>;
  /** Histogram counts of response times and of waits for a slot. */
  readonly d: readonly number[];
  readonly q: readonly number[];
  /** The maximum memory of each process, MB, and the maximum latency of each queue, ms. */
  readonly m: Readonly<Record<string, number>>;
  readonly l: Readonly<Record<string, number>>;
  /** The slowest response and the longest wait, ms. */
  readonly x: { readonly d?: number; readonly q?: number };
}

// Counters are added to those of the step; gauges keep their maximum. A step of an earlier round of the ring is
// overwritten. Rollups that have already been written, which happens when the reply was lost, are skipped.
//
// KEYS  1 number of the last rollup written, then for each range: the ring of the place, the ring of all trees
// ARGV  1 TTL of that number (s), 2 steps in a ring, 3 the rollups in order, each with its number n,
//       4… the length of a step (s)
const SCRIPT = new RedisScript(`
local call = redis.call
local written = tonumber(call('get', KEYS[1]) or 0)
local function add(to, from) for k, v in pairs(from) do to[k] = (to[k] or 0) + v end end
local function most(to, from) for k, v in pairs(from) do to[k] = math.max(to[k] or 0, v) end end
local function write(part, key, seconds, memory)
  local index = math.floor(part.t / seconds)
  local field, begins = index % ARGV[2], index * seconds
  local text = call('hget', key, field)
  local step = text and cjson.decode(text)
  if not step or step.t ~= begins then step = { t = begins, s = {}, d = {}, q = {}, m = {}, l = {}, x = {} } end
  add(step.s, part.s); add(step.d, part.d); add(step.q, part.q); most(step.l, part.l); most(step.x, part.x)
  if memory then most(step.m, part.m) end
  call('hset', key, field, cjson.encode(step))
  call('expire', key, seconds * ARGV[2])
end
for _, part in ipairs(cjson.decode(ARGV[3])) do
  if part.n > written then
    call('set', KEYS[1], part.n, 'EX', ARGV[1])
    for r = 4, #ARGV do
      local seconds = tonumber(ARGV[r])
      write(part, KEYS[2 * (r - 4) + 2], seconds, true)
      write(part, KEYS[2 * (r - 4) + 3], seconds, false)
    end
  end
end`);

/**
 * Adds a rollup to every range of its place and of all trees, only once however often it is sent.
 * @param latencies how long the next job of each queue has waited, ms.
 * @param earlier the preceding rollups that have not been written yet, in order.
 */
export async function writeRollup(
  client: RedisClient,
  tree: { readonly id: string; readonly place: string },
  part: Rollup,
  latencies: Readonly<Record<string, number>>,
  earlier: readonly Rollup[] = [],
): Promise<void> {
  const kept = [...earlier, part].map((one): StoredBucket & { readonly n: number } => {
    const { number: n, at, sums, duration: d, queued: q, memory: m, slowest } = one;
    const x = { d: slowest.durationMs, q: slowest.queuedMs };
    return { n, t: at / 1000, s: { ...sums }, d, q, m, l: one === part ? latencies : {}, x };
  });
  const rings = FIGURE_RANGES.flatMap(({ name }) => [figuresKey(tree.place, name), figuresKey(ALL_TREES, name)]);
  const args = [MAX_AGE_S, RING, JSON.stringify(kept), ...FIGURE_RANGES.map(({ stepS }) => stepS)];
  await SCRIPT.run(client, [writtenKey(tree.id), ...rings], args.map(String));
}

/** The ranges of the charts, all with the same number of steps. */
export const FIGURE_RANGES = [
  { name: '10m', stepS: 10 },
  { name: '1h', stepS: 60 },
  { name: '6h', stepS: 360 },
  { name: '24h', stepS: 1440 },
] as const;

export type FigureRange = (typeof FIGURE_RANGES)[number]['name'];

const STEPS = 60;
/** Steps in a ring: more than are shown, so that a write never overwrites one of these. */
const RING = 64;

export function readStepMs(range: FigureRange): number {
  return (FIGURE_RANGES.find(({ name }) => name === range)?.stepS ?? 60) * 1000;
}

export function isFigureRange(text: unknown): text is FigureRange {
  return FIGURE_RANGES.some(({ name }) => name === text);
}

const ANSWER_MS = 2000;

export interface FigureStep {
  readonly at: Date;
  /** undefined if nothing was written in this step, which is not the same as zeros. */
  readonly figures:
    | {
        readonly sums: RollupCounters;
        readonly duration: readonly number[];
        readonly queued: readonly number[];
        readonly slowest: Slowest;
        readonly memory: Readonly<Record<string, number>>;
        readonly latencies: Readonly<Record<string, number>>;
      }
    | undefined;
}

const NO_SUMS: RollupCounters = { requests: 0, serverErrors: 0, shed: 0, processed: 0, failed: 0 };

/** The time series of trees, read from Redis. Any process may use it, since it only reads. */
export class TimeSeries {
  constructor(private readonly redis: RedisClient) {}

  /**
   * @param place the place of a tree, or ALL_TREES.
   * @returns the last sixty steps, oldest first, including those without data. @throws Error if Redis does not answer.
   */
  async read(place: string, range: FigureRange, now = Date.now()): Promise<FigureStep[]> {
    const texts = await answerWithin(ANSWER_MS, this.redis.hVals(figuresKey(place, range)));
    const kept = new Map(texts.flatMap(readStep).map((step) => [step.t * 1000, step]));
    const stepMs = readStepMs(range);
    const last = Math.floor(now / stepMs) * stepMs;
    return Array.from({ length: STEPS }, (_, i) => {
      const at = last - (STEPS - 1 - i) * stepMs;
      return { at: new Date(at), figures: readFigures(kept.get(at)) };
    });
  }
}

function readStep(text: string): StoredBucket[] {
  try {
    const step = JSON.parse(text) as Partial<StoredBucket>;
    const { t, s = {}, d = [], q = [], m = {}, l = {}, x = {} } = step;
    return typeof t === 'number' && Array.isArray(d) && Array.isArray(q) ? [{ t, s, d, q, m, l, x }] : [];
  } catch {
    return [];
  }
}

function readFigures(step: StoredBucket | undefined): FigureStep['figures'] {
  if (!step) return undefined;
  const { s, d: duration, q: queued, m: memory, l: latencies, x } = step;
  return {
    sums: { ...NO_SUMS, ...s },
    duration,
    queued,
    slowest: { durationMs: x.d ?? 0, queuedMs: x.q ?? 0 },
    memory,
    latencies,
  };
}
