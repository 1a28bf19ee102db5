import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * What gives memory back to the system in one turn: else V8 keeps the pages that it has freed, as of Node 22 some 18 MB of a
 * worker, for as long as it likes. Node 20 would take an argument for the wish for a small collection.
 */
const THOROUGH = { type: 'major', execution: 'sync', flavor: 'last-resort' };
const KNOWS_FLAVORS = Number(process.versions.v8.split('.')[0]) >= 12;

/** A full collection, at rest or on an operator's request. Node shows `gc` only behind a flag, which may be set late. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc !== 'function') return;
  if (KNOWS_FLAVORS) gc(THOROUGH);
  else gc();
}

/** Looks without work before them until the pause, some 20 to 60 ms, can be taken to meet nobody. */
const QUIET_LOOKS = 5;
/** How much the heap must take above what was alive after the last collection, bytes, for another to be worth it. */
const WORTH_BYTES = 5 * 1048576;
/** How much more it must take than at the beginning of its rest, and how many looks later, to be worth it without work. */
const GROWN_BYTES = 2 * 1048576;
const GROWN_LOOKS = 60;
/** The first frees what is dead, the second gives its pages back. */
const TURNS = 2;

export interface HeapSize {
  readonly aliveBytes: number;
  readonly takenBytes: number;
}

/**
 * Out-of-band collection, as Puma calls it: a process that has come to rest collects what its work, or its start, has left.
 * V8 would often leave it lying, a third of a worker, until there is work again.
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

  /** To be called once a second. @param inHand pieces of work at this moment. @param done how many there have been so far. */
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

  /** By what happens all the time, as an open overview that it shows. */
  private hasGrown(): boolean {
    const { look, takenBytes } = this.last;
    return this.quietLooks - look >= GROWN_LOOKS && this.size().takenBytes - takenBytes >= GROWN_BYTES;
  }
}

function heapSize(): HeapSize {
  const { used_heap_size: aliveBytes, total_physical_size: takenBytes } = getHeapStatistics();
  return { aliveBytes, takenBytes };
}
