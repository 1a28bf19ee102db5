import type { FigureSums } from '../cluster/figures';
import type { RedisClient } from '../core/redis';
import type { Slowest } from '../core/request-counts';
import { answerWithin } from '../job/redis/redis-script';
import { type FigureRange, STEPS, stepMsOf } from './figure-ranges';
import type { KeptStep } from './figure-script';
import { figuresKey } from './tree-keys';

const ANSWER_MS = 2000;

/** The figures of one step. */
export interface FigureStep {
  readonly at: Date;
  /** Since when there is nothing about it, undefined: nobody has written anything down. */
  readonly figures:
    | {
        readonly sums: FigureSums;
        readonly duration: readonly number[];
        readonly queued: readonly number[];
        readonly slowest: Slowest;
        readonly memory: Readonly<Record<string, number>>;
        readonly latencies: Readonly<Record<string, number>>;
      }
    | undefined;
}

const NO_SUMS: FigureSums = { requests: 0, serverErrors: 0, turnedAway: 0, processed: 0, failed: 0 };

/** What trees have told of themselves, from Redis. For any process: it only reads. */
export class FigureHistory {
  constructor(private readonly redis: RedisClient) {}

  /**
   * The last sixty steps, the oldest first, those without figures too.
   * @param place of a tree, or ALL_TREES. @throws when Redis does not answer.
   */
  async read(place: string, range: FigureRange, now = Date.now()): Promise<FigureStep[]> {
    const texts = await answerWithin(ANSWER_MS, this.redis.hVals(figuresKey(place, range)));
    const kept = new Map(texts.flatMap(readStep).map((step) => [step.t * 1000, step]));
    const stepMs = stepMsOf(range);
    const last = Math.floor(now / stepMs) * stepMs;
    return Array.from({ length: STEPS }, (_, i) => {
      const at = last - (STEPS - 1 - i) * stepMs;
      return { at: new Date(at), figures: figuresOf(kept.get(at)) };
    });
  }
}

function readStep(text: string): KeptStep[] {
  try {
    const step = JSON.parse(text) as Partial<KeptStep>;
    const { t, s = {}, d = [], q = [], m = {}, l = {}, x = {} } = step;
    return typeof t === 'number' && Array.isArray(d) && Array.isArray(q) ? [{ t, s, d, q, m, l, x }] : [];
  } catch {
    return [];
  }
}

function figuresOf(step: KeptStep | undefined): FigureStep['figures'] {
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
