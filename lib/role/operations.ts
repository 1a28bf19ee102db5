import path from 'node:path';
import type { MemoryWatch } from '../cluster/memory-watch';
import type { PhasedRestart } from '../cluster/phased-restart';
import type { Processor } from '../cluster/processor';
import type { Slot } from '../cluster/slot';
import type { Operations, TreeStats, WorkerStats } from '../cluster/stats';
import type { WorkerHandle } from '../cluster/worker-handle';
import type { Workers } from '../cluster/workers';
import type { Config } from '../core/config';
import { UserError } from '../core/errors';
import { collectGarbage } from '../core/garbage';
import { version } from '../core/version';

export interface TreeParts {
  readonly config: Pick<Config, 'stateDir' | 'memoryLimitMb' | 'log'>;
  /** Without slots where the tree has no workers. */
  readonly workers: Workers;
  readonly processor: Processor | undefined;
  readonly memory: MemoryWatch;
  readonly phased: PhasedRestart;
  readonly reopenLog: () => void;
  readonly stop: (reason: string) => Promise<never>;
  readonly halt: () => Promise<never>;
}

/** What the control socket, the signals and the operator's pages can have done, on the parts of this tree. */
export class TreeOperations implements Operations {
  private readonly startedAt = new Date();

  constructor(private readonly parts: TreeParts) {}

  async stats(): Promise<TreeStats> {
    const { workers, processor, memory, phased, config } = this.parts;
    const { byPid, totalMb } = memory.measure();
    const pss = (pid: number | undefined) => rounded(byPid.get(pid ?? 0) ?? null);
    return {
      started_at: this.startedAt.toISOString(),
      workers: workers.slots.length,
      phase: workers.phase,
      booted_workers: workers.slots.filter((slot) => slot.handle?.wasReady).length,
      old_workers: workers.handles.filter((handle) => handle.phase !== workers.phase).length,
      worker_status: workers.slots.flatMap((slot) => slot.handles.map((handle) => describe(slot, handle, pss))),
      versions: { catamount: version(), node: process.version },
      pid: process.pid,
      job_processor: processor?.stats(pss(processor.pid)) ?? NO_PROCESSOR,
      memory: { pss_mb: rounded(totalMb), limit_mb: config.memoryLimitMb },
      last_phase: phased.last,
    };
  }

  async phasedRestart(): Promise<void> {
    await this.parts.phased.run();
    await this.parts.processor?.renew();
  }

  async restart(): Promise<void> {
    const { workers, processor } = this.parts;
    // The first place is never empty, so that the listening socket stays open.
    const renewals = workers.slots.map((slot, i) =>
      workers.replace(slot, 'asked', i === 0 ? 'start-first' : 'drain-first'),
    );
    const results = await Promise.all(renewals);
    await processor?.renew();
    const failed = results.find((result) => !result.replaced);
    if (failed && !failed.replaced) throw new UserError(`not every worker came back: ${failed.reason}`);
  }

  /** Resolves when the stop has begun: whoever asked is answered before the process is gone. */
  async stop(): Promise<void> {
    setImmediate(() => void this.parts.stop('asked to stop'));
  }

  async halt(): Promise<void> {
    setImmediate(() => void this.parts.halt());
  }

  async scale(by: 1 | -1): Promise<number> {
    if (this.parts.workers.slots.length === 0) throw new UserError('this tree has no web workers to count up or down');
    return this.parts.workers.scale(by);
  }

  async quietJobs(): Promise<void> {
    const { processor } = this.parts;
    if (!processor) throw new UserError('this tree runs no job processor');
    processor.quiet();
  }

  async resumeJobs(): Promise<void> {
    const { processor } = this.parts;
    if (!processor) throw new UserError('this tree runs no job processor');
    processor.resume();
  }

  async reopenLog(): Promise<void> {
    if (this.parts.config.log.file === null) {
      throw new UserError('there is no log file to reopen: the log goes to standard output, which is no file');
    }
    this.parts.reopenLog();
    for (const handle of this.parts.workers.handles) handle.reopenLog();
    this.parts.processor?.reopenLog();
  }

  async gc(): Promise<void> {
    collectGarbage();
    for (const handle of this.parts.workers.handles) handle.collectGarbage();
    this.parts.processor?.collectGarbage();
  }

  async heapSnapshot(index: number): Promise<string> {
    const { workers, config } = this.parts;
    const handle = workers.slots[index]?.handle;
    if (!handle?.wasReady)
      throw new UserError(`slot ${index} has no ready worker; slots go from 0 to ${workers.slots.length - 1}`);
    const time = new Date().toISOString().replace(/[:.]/g, '');
    return handle.heapSnapshot(path.join(config.stateDir, `web-${index}-${time}.heapsnapshot`));
  }
}

const NO_PROCESSOR: TreeStats['job_processor'] = {
  pid: null,
  state: 'off',
  started_at: null,
  last_checkin: null,
  restarts: 0,
  pss_mb: null,
  last_status: {},
};

function describe(slot: Slot, handle: WorkerHandle, pss: (pid: number) => number | null): WorkerStats {
  return {
    started_at: handle.startedAt.toISOString(),
    pid: handle.pid,
    index: slot.index,
    phase: handle.phase,
    booted: handle.wasReady,
    state: handle.state,
    last_checkin: handle.lastCheckin?.toISOString() ?? null,
    last_status: handle.status ?? {},
    pss_mb: pss(handle.pid),
    restarts: slot.restarts,
  };
}

function rounded(mb: number | null): number | null {
  return mb === null ? null : Number(mb.toFixed(1));
}
