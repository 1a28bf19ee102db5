import { getHeapStatistics } from 'node:v8';
import { collectGarbage } from './garbage';

/** Looks without work before them until the pause, some 30 ms, can be taken to meet nobody. */
const QUIET_LOOKS = 5;
/** How much the heap must take above what was alive after the last collection, bytes, for another to be worth it. */
const WORTH_BYTES = 8 * 1048576;
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
export class OutOfBandCollector {
  private quietLooks = 0;
  private turnsLeft = TURNS;
  private aliveBytes = 0;

  constructor(
    private readonly collect: () => void = collectGarbage,
    private readonly size: () => HeapSize = heapSize,
  ) {}

  /** To be called once a second. @param worked there is work in hand, or there was since the last call. */
  look(worked: boolean): void {
    if (worked) {
      this.quietLooks = 0;
      this.turnsLeft = TURNS;
      return;
    }
    this.quietLooks++;
    if (this.quietLooks < QUIET_LOOKS || this.turnsLeft === 0) return;
    if (this.turnsLeft === TURNS && this.size().takenBytes - this.aliveBytes < WORTH_BYTES) return;
    this.turnsLeft--;
    this.collect();
    this.aliveBytes = this.size().aliveBytes;
  }
}

function heapSize(): HeapSize {
  const { used_heap_size: aliveBytes, total_physical_size: takenBytes } = getHeapStatistics();
  return { aliveBytes, takenBytes };
}
