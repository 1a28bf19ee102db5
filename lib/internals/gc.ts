import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Makes V8 give freed pages back to the system in the same collection. By default it keeps them for an unlimited time:
 * some 18 MB of a worker with Node 22. Node 20 would take an options object as a request for a minor collection.
 */
const THOROUGH = { type: 'major', execution: 'sync', flavor: 'last-resort' };
const KNOWS_FLAVORS = Number(process.versions.v8.split('.')[0]) >= 12;

/**
 * Runs a full collection, at rest or on an operator's request. Node exposes `gc` only by a flag, which can be set late.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc !== 'function') return;
  if (KNOWS_FLAVORS) gc(THOROUGH);
  else gc();
}

/** Ticks without work after which a pause of some 20 to 60 ms is unlikely to delay anybody. */
const QUIET_LOOKS = 5;
/** A collection pays if the heap is this much larger than what was alive after the last one, bytes. */
const WORTH_BYTES = 5 * 1048576;
/** Without work, a collection pays after this growth, bytes, and at least this many ticks after the last one. */
const GROWN_BYTES = 2 * 1048576;
const GROWN_LOOKS = 60;
/** The first collection frees dead objects, the second gives their pages back. */
const TURNS = 2;

export interface HeapSize {
  readonly aliveBytes: number;
  readonly takenBytes: number;
}

/**
 * Out-of-band collection, as in Puma: an idle process collects the garbage that its work or its start has left. V8
 * often would not do so until there is work again; the garbage is about a third of a worker's memory.
 */
export class OutOfBandGc {
  private quietLooks = 0;
  private turnsLeft = TURNS;
  private last = { aliveBytes: 0, takenBytes: 0, look: 0 };
  private doneBefore = 0;

  constructor(
    private readonly collect: () => void = collectGarbage,
    private readonly size: () => HeapSize = heapSize,
  ) {}

  /** To be called once a second. @param inHand pieces of work in progress. @param done pieces of work so far. */
  tick(inHand: number, done: number): void {
    const worked = inHand > 0 || done !== this.doneBefore;
    this.doneBefore = done;
    if (worked) {
      this.quietLooks = 0;
      this.turnsLeft = TURNS;
      return;
    }
    this.quietLooks++;
    if (this.quietLooks < QUIET_LOOKS) return;
    if (this.turnsLeft === 0 && this.hasGrown()) this.turnsLeft = TURNS;
    else if (this.turnsLeft === TURNS && this.size().takenBytes - this.last.aliveBytes < WORTH_BYTES) return;
    if (this.turnsLeft === 0) return;
    this.turnsLeft--;
    this.collect();
    this.last = { look: this.quietLooks, ...this.size() };
  }

  /** An idle process allocates, too, for example for an open overview page. */
  private hasGrown(): boolean {
    const { look, takenBytes } = this.last;
    return this.quietLooks - look >= GROWN_LOOKS && this.size().takenBytes - takenBytes >= GROWN_BYTES;
  }
}

function heapSize(): HeapSize {
  const { used_heap_size: aliveBytes, total_physical_size: takenBytes } = getHeapStatistics();
  return { aliveBytes, takenBytes };
}
