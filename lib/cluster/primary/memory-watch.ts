import fs from 'node:fs';
import type { Events } from '../../core/events';
import { RECYCLE_THRESHOLD } from '../../core/memory-plan';
import type { ReplaceOrder, Slot, WorkerPool } from './worker-pool';

const CHECK_MS = 2000;
const RECENT_MS = 4000;
/** How much more than the old worker its successor may take for a while, as a factor of the old one's size. */
const BOOT_FACTOR = 1.2;

/** When recycling did not help, the next try comes this much later, ms: the tree is simply too large for its limit. */
const FUTILE_PAUSE_MS = 60_000;

export interface MemoryWatchOptions {
  readonly limitMb: number | null;
  /** Every process of the tree but the workers. */
  readonly otherPids: () => readonly number[];
  /** Something is changing already: not now. */
  readonly busy: () => boolean;
  /** What processes take. Default: as the system tells. */
  readonly measure?: (pids: readonly number[]) => TreeMemory;
  /** A clock that only goes on, ms. */
  readonly now?: () => number;
}

/** Keeps the tree's proportional set size below its limit by recycling the largest worker, one at a time. */
export class MemoryWatch {
  private timer: NodeJS.Timeout | undefined;
  private recycling = false;
  private notBefore = 0;
  private last: { readonly memory: TreeMemory; readonly at: number } | undefined;
  private readonly now: () => number;

  constructor(
    private readonly workers: Pick<WorkerPool, 'slots' | 'handles' | 'replace'>,
    private readonly events: Events,
    private readonly options: MemoryWatchOptions,
  ) {
    this.now = options.now ?? (() => performance.now());
  }

  start(): void {
    if (this.options.limitMb !== null) this.timer ??= setInterval(() => void this.check(), CHECK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  measure(): TreeMemory {
    const { otherPids, measure = measureTree } = this.options;
    const memory = measure([...otherPids(), ...this.workers.handles.map((handle) => handle.pid)]);
    this.last = { memory, at: this.now() };
    return memory;
  }

  /** As it was some seconds ago at most: measuring takes milliseconds. */
  recent(): TreeMemory {
    const { last } = this;
    return last && this.now() - last.at < RECENT_MS ? last.memory : this.measure();
  }

  /**
   * Start-first where a second worker fits beside the first, and always for the only one, whose place must not stand
   * empty; else drain-first. Where the system tells no sizes, there is no limit to keep either.
   */
  orderFor(slot: Slot): ReplaceOrder {
    const { limitMb } = this.options;
    if (limitMb === null || this.workers.slots.length === 1) return 'start-first';
    return this.orderForProcess(slot.handle?.pid ?? 0);
  }

  /** Start-first where a second process of that size fits beside the first. */
  orderForProcess(pid: number): ReplaceOrder {
    const { limitMb } = this.options;
    if (limitMb === null) return 'start-first';
    const { byPid, totalMb } = this.measure();
    const size = byPid.get(pid) ?? 0;
    return (totalMb ?? 0) + size * BOOT_FACTOR <= limitMb * RECYCLE_THRESHOLD ? 'start-first' : 'drain-first';
  }

  /** Looks now, and recycles where it must: done every two seconds from `start` on. */
  async check(): Promise<void> {
    const { limitMb, busy } = this.options;
    if (limitMb === null || this.recycling || busy() || this.now() < this.notBefore) return;
    const { byPid, totalMb } = this.measure();
    if (totalMb === null || totalMb <= limitMb * RECYCLE_THRESHOLD) return;
    const sizeOf = (slot: Slot) => byPid.get(slot.handle?.pid ?? 0) ?? 0;
    const steady = this.workers.slots.filter((slot) => slot.handle?.state === 'ready' && !slot.outgoing);
    const largest = steady.toSorted((a, b) => sizeOf(b) - sizeOf(a))[0];
    if (!largest) return;
    this.recycling = true;
    this.events.emit('memory.high', { totalMb, limitMb, slot: largest.index, workerMb: sizeOf(largest) });
    await this.workers.replace(largest, 'memory', this.orderFor(largest));
    if ((this.measure().totalMb ?? 0) > limitMb * RECYCLE_THRESHOLD) this.notBefore = this.now() + FUTILE_PAUSE_MS;
    this.recycling = false;
  }
}

/**
 * Proportional set size of a process in MB: its own pages, and its share of those it has in common with others, so that
 * the sum over a tree is what the tree really takes. Null where the system does not tell (no Linux, or the process is
 * gone).
 */
export function pssMb(pid: number): number | null {
  try {
    const kb = /^Pss:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    return kb === undefined ? null : Number(kb) / 1024;
  } catch {
    return null;
  }
}

export interface TreeMemory {
  readonly byPid: ReadonlyMap<number, number>;
  /** Null when no process could be measured. */
  readonly totalMb: number | null;
}

export function measureTree(pids: readonly number[]): TreeMemory {
  const byPid = new Map<number, number>();
  for (const pid of pids) {
    const mb = pssMb(pid);
    if (mb !== null) byPid.set(pid, mb);
  }
  const totalMb = byPid.size === 0 ? null : [...byPid.values()].reduce((sum, mb) => sum + mb, 0);
  return { byPid, totalMb };
}
