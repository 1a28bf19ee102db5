import type { CronOptions } from '../job-class';
import type { Schedule } from './schedule';

export type CatchUpPolicy = NonNullable<CronOptions['catchUp']>;

export interface CatchUpOptions {
  readonly policy: CatchUpPolicy;
  /** A tick that is dealt with no later than this is on time, ms. */
  readonly graceMs: number;
  /** Ticks further back than so many are given up, whatever the policy, and not even counted. */
  readonly limit: number;
}

/** Of a processor that is not tuned otherwise. */
export const USUAL_LIMITS = Object.freeze({ graceMs: 60_000, limit: 1000 });

export interface CatchUp {
  /** To be enqueued, in order. */
  readonly ticks: readonly Date[];
  /** Ticks up to here are dealt with; undefined: none was due. */
  readonly settledUntil: Date | undefined;
  /** Ticks that were not enqueued on time. */
  readonly missed: number;
  /** How many of these are enqueued now. */
  readonly caughtUp: number;
  /** There were more than the limit; the counts leave the oldest out. */
  readonly limited: boolean;
}

/**
 * What becomes of the ticks between the last one that was dealt with and now. `all`: each. `once`: the latest. `skip`:
 * the latest, unless it is late already.
 */
export function catchUp(schedule: Schedule, settledUntil: Date, now: Date, options: CatchUpOptions): CatchUp {
  const { policy, graceMs, limit } = options;
  const found = schedule.ticks(settledUntil, now, limit + 1);
  const due = found.slice(-limit);
  const isOnTime = (tick: Date): boolean => now.getTime() - tick.getTime() <= graceMs;
  const latest = due.slice(-1);
  const ticks = policy === 'all' ? due : policy === 'once' ? latest : latest.filter(isOnTime);
  const onTime = ticks.filter(isOnTime).length;
  return {
    ticks,
    settledUntil: latest[0],
    missed: due.length - onTime,
    caughtUp: ticks.length - onTime,
    limited: found.length > limit,
  };
}
