import fs from 'node:fs';
import type { Events } from '../../core/events';
import { RECYCLE_THRESHOLD } from '../../core/memory-plan';
import { OutOfBandGc } from '../../internals/gc';
import { PeriodicTask } from '../../support/periodic-task';
import type { ProcessorSupervisor } from './processor';
import type { Slot } from './slot';
import type { ReplaceOrder, WorkerPool } from './worker-pool';

const CHECK_MS = 2000;
const RECENT_MS = 10_000;
const GARBAGE_CHECK_MS = 1000;
/** Size of a booting successor relative to the old worker. */
const BOOT_FACTOR = 1.2;

/** Pause after a recycling that did not help, ms: the tree is too large for its limit, and recycling costs time. */
const FUTILE_PAUSE_MS = 60_000;

export interface MemoryWatchOptions {
  readonly limitMb: number | null;
  /** pids of all processes of the tree except the workers. */
  readonly otherPids: () => readonly number[];
  /** The job processor of a tree that forks no workers: it is replaced instead of one. Default: there is none. */
  readonly processor?: () => Pick<ProcessorSupervisor, 'handles' | 'restart'> | undefined;
  /** Measures the processes. Default: `measureTree`. */
  readonly measure?: (pids: readonly number[]) => TreeMemory;
  /** Monotonic clock, ms. Default `performance.now`. */
  readonly now?: () => number;
}

interface Replaceable {
  /** null: it is the job processor. */
  readonly slot: number | null;
  readonly mb: number;
  readonly replace: () => Promise<unknown>;
}

/** Keeps the tree's proportional set size below its limit by recycling its largest child, one at a time. */
export class MemoryWatch {
  readonly task: PeriodicTask;
  private notBefore = 0;
  private last: { readonly memory: TreeMemory; readonly at: number } | undefined;
  private readonly now: () => number;

  constructor(
    private readonly workers: Pick<WorkerPool, 'slots' | 'handles' | 'replace'>,
    private readonly events: Events,
    private readonly options: MemoryWatchOptions,
  ) {
    this.now = options.now ?? (() => performance.now());
    this.task = new PeriodicTask({
      everyMs: CHECK_MS,
      work: () => this.check(),
      onError: (error) => events.emit('process.error', { error, during: 'watching the memory of the tree' }),
    });
  }

  start(): void {
    if (this.options.limitMb !== null) this.task.start();
  }

  measure(): TreeMemory {
    const { otherPids, measure = measureTree } = this.options;
    const memory = measure([...otherPids(), ...this.workers.handles.map((handle) => handle.pid)]);
    this.last = { memory, at: this.now() };
    return memory;
  }

  /** The last measurement if it is younger than RECENT_MS, since measuring takes milliseconds. */
  recent(): TreeMemory {
    const { last } = this;
    return last && this.now() - last.at < RECENT_MS ? last.memory : this.measure();
  }

  /**
   * Start-first if a second worker fits beside the first, and always for the only worker, whose slot must not be empty;
   * otherwise stop-first. Sizes that cannot be measured count as 0.
   */
  orderFor(slot: Slot): ReplaceOrder {
    const { limitMb } = this.options;
    if (limitMb === null || this.workers.slots.length === 1) return 'start-first';
    return this.orderWithin(limitMb * RECYCLE_THRESHOLD, slot.handle?.pid ?? 0);
  }

  /** For the job processor, of which there is one: start-first if a second one fits below the limit itself. */
  orderForProcessor(pid: number): ReplaceOrder {
    return this.orderWithin(this.options.limitMb ?? Number.POSITIVE_INFINITY, pid);
  }

  private orderWithin(mostMb: number, pid: number): ReplaceOrder {
    const { byPid, totalMb } = this.measure();
    const size = byPid.get(pid) ?? 0;
    return (totalMb ?? 0) + size * BOOT_FACTOR <= mostMb ? 'start-first' : 'stop-first';
  }

  /**
   * Measures the tree and recycles its largest child if it is too large. While any worker is being replaced it waits:
   * two processes may share a slot, and a slot may be empty.
   */
  async check(): Promise<undefined> {
    const { limitMb } = this.options;
    const { slots } = this.workers;
    if (limitMb === null || slots.some(({ replacing }) => replacing) || this.now() < this.notBefore) return;
    const { byPid, totalMb } = this.measure();
    if (totalMb === null || totalMb <= limitMb * RECYCLE_THRESHOLD) return;
    const largest = this.largest(byPid);
    if (!largest) return;
    this.events.emit('memory.high', { totalMb, limitMb, slot: largest.slot, workerMb: largest.mb });
    try {
      await largest.replace();
    } finally {
      if ((this.measure().totalMb ?? 0) > limitMb * RECYCLE_THRESHOLD) this.notBefore = this.now() + FUTILE_PAUSE_MS;
    }
  }

  /** The largest worker; where none is forked, the job processor, unless it boots, stops or was told to be quiet. */
  private largest(byPid: TreeMemory['byPid']): Replaceable | undefined {
    const processor = this.options.processor?.();
    const mbOf = (pid = 0) => byPid.get(pid) ?? 0;
    if (processor) {
      const [handle, other] = processor.handles;
      if (handle?.state !== 'ready' || other) return undefined;
      const replace = () => processor.restart((pid) => this.orderForProcessor(pid));
      return { slot: null, mb: mbOf(handle.pid), replace };
    }
    const steady = this.workers.slots.filter((slot) => slot.handle?.state === 'ready');
    const [slot] = steady.toSorted((a, b) => mbOf(b.handle?.pid) - mbOf(a.handle?.pid));
    if (!slot) return undefined;
    const replace = () => this.workers.replace(slot, 'memory', this.orderFor(slot));
    return { slot: slot.index, mb: mbOf(slot.handle?.pid), replace };
  }
}

/** The primary accepts all connections, so it collects garbage when the workers are idle. The task has to be started. */
export function collectAtRest(workers: Pick<WorkerPool, 'handles'>, events: Events): PeriodicTask {
  const collector = new OutOfBandGc();
  return new PeriodicTask({
    everyMs: GARBAGE_CHECK_MS,
    work: async () => {
      const reported = workers.handles.flatMap(({ status }) => status ?? []);
      const inFlight = reported.reduce((sum, { busyThreads }) => sum + busyThreads, 0);
      const served = reported.reduce((sum, { requestsCount }) => sum + requestsCount, 0);
      collector.tick(inFlight, served);
      return undefined;
    },
    onError: (error) => events.emit('process.error', { error, during: 'collecting garbage' }),
  });
}

/**
 * Proportional set size of a process, MB: its own pages, and its share of the pages that several processes share. So the sum
 * over a tree is what the tree takes. null if it cannot be read (not on Linux, or the process is gone).
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
  /** null if no process could be measured. */
  readonly totalMb: number | null;
}

export function measureTree(pids: readonly number[]): TreeMemory {
  const byPid = new Map<number, number>();
  for (const pid of new Set(pids)) {
    const mb = pssMb(pid);
    if (mb !== null) byPid.set(pid, mb);
  }
  const totalMb = byPid.size === 0 ? null : [...byPid.values()].reduce((sum, mb) => sum + mb, 0);
  return { byPid, totalMb };
}
