import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Makes V8 give freed pages back to the system in the same collection. By default it keeps them for an unlimited time:
 * some 18 MB of a worker with Node 22. Node 20 would take an options object as a request for a minor collection, but does the same
 * while COMPACT is set.
 */
const THOROUGH = { type: 'major', execution: 'sync', flavor: 'last-resort' };
const COMPACT = 'compact-on-every-full-gc';
const KNOWS_FLAVORS = Number(process.versions.v8.split('.')[0]) >= 12;

/**
 * Runs a full collection, after the boot and at rest. It takes some 20 to 60 ms. Node exposes `gc` only by a flag, which can be set
 * late.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc !== 'function') return;
  if (KNOWS_FLAVORS) gc(THOROUGH);
  else {
    setFlagsFromString(`--${COMPACT}`);
    gc();
    setFlagsFromString(`--no-${COMPACT}`);
  }
}

/** Ticks without work after which a pause is unlikely to delay anybody. */
const QUIET_LOOKS = 5;
/** A collection pays if the heap is this much larger than what was alive after the last one, bytes. */
const WORTH_BYTES = 5 * 1048576;
/** Without work, a collection pays after this growth, bytes, and at least this many ticks after the last one. */
const GROWN_BYTES = 2 * 1048576;
const GROWN_LOOKS = 60;

/**
 * Out-of-band collection, as in Puma: an idle process collects the garbage that its work or its start has left. V8
 * often would not do so until there is work again; the garbage is about a third of a worker's memory.
 */
export class OutOfBandGc {
  private quietLooks = 0;
  private isDue = true;
  private last = { aliveBytes: 0, takenBytes: 0, look: 0 };
  private doneBefore = 0;

  /** To be called once a second. @param inHand pieces of work in progress. @param done pieces of work so far. */
  tick(inHand: number, done: number): void {
    const worked = inHand > 0 || done !== this.doneBefore;
    this.doneBefore = done;
    if (worked) {
      this.quietLooks = 0;
      this.isDue = true;
      return;
    }
    this.quietLooks++;
    if (this.quietLooks < QUIET_LOOKS) return;
    const pays = this.isDue ? heapSize().takenBytes - this.last.aliveBytes >= WORTH_BYTES : this.hasGrown();
    if (!pays) return;
    this.isDue = false;
    collectGarbage();
    this.last = { look: this.quietLooks, ...heapSize() };
  }

  /** An idle process allocates, too, for example for an open overview page. */
  private hasGrown(): boolean {
    const { look, takenBytes } = this.last;
    return this.quietLooks - look >= GROWN_LOOKS && heapSize().takenBytes - takenBytes >= GROWN_BYTES;
  }
}

function heapSize() {
  const { used_heap_size: aliveBytes, total_physical_size: takenBytes } = getHeapStatistics();
  return { aliveBytes, takenBytes };
}
