import { isTime } from './kinds';
import type { JobRecord } from './record';

/**
 * Since when a job could have run, ms since 1970: it was put on its queue, or its retry fell due (`dueAt`; bee-queue's
 * own producers write `delay`). undefined where the record does not tell.
 */
export function readyAt(options: JobRecord['options']): number | undefined {
  const { timestamp, dueAt } = options;
  const { delay } = options as { readonly delay?: number };
  const at = Math.max(known(timestamp), known(dueAt), known(delay));
  return at === UNKNOWN ? undefined : at;
}

const UNKNOWN = Number.NEGATIVE_INFINITY;

function known(time: unknown): number {
  return isTime(time) ? time : UNKNOWN;
}
