import { getHeapStatistics } from 'node:v8';
import { collectGarbage } from './garbage';

/** Looks without work before them until the pause, some 30 ms, can be taken to meet nobody. */
const QUIET_LOOKS = 5;
/** How much more than after the last collection must be in use to be worth one, bytes. */
const WORTH_BYTES = 8 * 1048576;
/** The first frees what is dead, the second gives its pages back. */
const TURNS = 2;

/**
 * Out-of-band collection, as Puma calls it: a process that has come to rest collects what its work, or its start, has left.
 * V8 would leave it lying, a third of a worker, until there is work again.
 */
export class OutOfBandCollector {
  private quietLooks = 0;
  private turnsLeft = 0;
  private floorBytes = 0;

  constructor(
    private readonly collect: () => void = collectGarbage,
    private readonly usedBytes: () => number = () => getHeapStatistics().used_heap_size,
  ) {}

  /** To be called once a second. @param worked there is work in hand, or there was since the last call. */
  look(worked: boolean): void {
    this.quietLooks = worked ? 0 : this.quietLooks + 1;
    if (this.quietLooks < QUIET_LOOKS) {
      this.turnsLeft = 0;
      return;
    }
    if (this.turnsLeft === 0 && this.usedBytes() - this.floorBytes < WORTH_BYTES) return;
    this.turnsLeft = (this.turnsLeft || TURNS) - 1;
    this.collect();
    this.floorBytes = this.usedBytes();
  }
}
