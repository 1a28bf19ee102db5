import type { WorkerStats } from '../cluster/stats';
import type { SlotPicture, TreePicture } from '../cluster/tree-picture';

/** Children tell of themselves every second: one that has not for so long is blocked, ms. */
const SILENT_MS = 4000;
/** So many times as large as the others, and at least so large, a worker stands out. */
const HOT_FACTOR = 1.8;
const HOT_MB = 100;

/** Who is in a slot: two during a replacement. */
export interface SlotHolders {
  /** The one that is to stay. */
  readonly current: WorkerStats | undefined;
  /** The one that serves on until its successor is ready. */
  readonly outgoing: WorkerStats | undefined;
}

export function inSlot({ stats }: TreePicture, slot: SlotPicture): SlotHolders {
  const here = stats.worker_status.filter(({ index }) => index === slot.index);
  return {
    outgoing: here.find(({ pid }) => pid === slot.outgoing),
    current: here.find(({ pid }) => pid !== slot.outgoing),
  };
}

/** Its last process is dead, and no other serves in its place yet. */
export function isRestarting(slot: SlotPicture, { current, outgoing }: SlotHolders): boolean {
  if (outgoing || current?.state === 'ready' || current?.state === 'draining') return false;
  return slot.nextTry !== null;
}

/** For how long a child has not been heard of, ms; null of one that is. */
export function silenceOf({ last_checkin }: { readonly last_checkin: string | null }, now: Date): number | null {
  if (last_checkin === null) return null;
  const silentMs = now.getTime() - Date.parse(last_checkin);
  return silentMs > SILENT_MS ? silentMs : null;
}

/** How many times its siblings' median a worker takes; null when it does not stand out. */
export function hotFactor({ stats }: TreePicture, index: number, mb: number | undefined): number | null {
  if (mb === undefined || mb < HOT_MB) return null;
  const others = stats.worker_status.flatMap((one) => (one.index !== index && one.pss_mb !== null ? [one.pss_mb] : []));
  const median = others.sort((a, b) => a - b)[Math.floor((others.length - 1) / 2)];
  return median !== undefined && mb >= median * HOT_FACTOR ? mb / median : null;
}

/** Workers that take requests. */
export function readyWorkers({ stats, slots }: TreePicture): number {
  const ready = new Set(stats.worker_status.filter(({ state }) => state === 'ready').map(({ index }) => index));
  return slots.filter(({ index }) => ready.has(index)).length;
}
