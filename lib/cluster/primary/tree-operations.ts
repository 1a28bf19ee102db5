import { setTimeout as wait } from 'node:timers/promises';
import { type Config, inlineParts, version } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Caller, Events } from '../../core/events';
import type { RecentEvent } from '../../core/notable-events';
import { pluralize } from '../../support/counted';
import { toError } from '../../support/to-error';
import { TREE_COMMANDS } from '../control/commands';
import type { ReplyMessage, RequestMessage } from '../messages';
import type {
  Operations,
  ProcessStacks,
  Profile,
  Rollup,
  Tree,
  TreeStats,
  TreeStatus,
  TreeTotals,
  WorkerStats,
} from '../status';
import type { MemoryWatch, TreeMemory } from './memory-watch';
import type { PhasedRestart } from './phased-restart';
import type { ProcessorSupervisor } from './processor';
import { Profiler } from './profiler';
import type { Slot } from './slot';
import type { TreeMonitor } from './tree-monitor';
import type { WorkerHandle } from './worker-handle';
import type { WorkerPool } from './worker-pool';

/** A rejection within this time, ms, reaches the caller of `runCommand`; a later one appears in the tree's events only. */
const AT_ONCE_MS = 300;

export interface TreeParts {
  readonly config: Pick<Config, 'memoryLimitMb' | 'log' | 'release' | 'stateDir' | 'web' | 'jobs' | 'databasePool'>;
  /** Has no slots if the tree has no workers. */
  readonly workers: WorkerPool;
  readonly processor: ProcessorSupervisor | undefined;
  readonly memory: MemoryWatch;
  readonly phased: PhasedRestart;
  readonly monitor: TreeMonitor;
  readonly events: Events;
  readonly stop: (reason: string, exitCode?: number) => Promise<never>;
  readonly restart: () => Promise<void>;
  /** What the app does before a phased restart. @throws UserError when that fails. */
  readonly beforePhased?: () => Promise<void>;
}

/** The operations behind the control socket, the signals and the operator's pages. */
export class TreeOperations implements Operations {
  readonly profiler: Profiler;
  private readonly startedAt = new Date();

  constructor(private readonly parts: TreeParts) {
    this.profiler = new Profiler(parts.config, parts.events, () => this.children);
  }

  async stats(): Promise<TreeStats> {
    return this.describeTree(this.parts.memory.measure());
  }

  async status(): Promise<TreeStatus> {
    const { monitor, memory } = this.parts;
    return monitor.status(this.describeTree(memory.recent()));
  }

  async rollups(after: number): Promise<readonly Rollup[]> {
    return this.parts.monitor.rollups.after(after);
  }

  async recordEvent(event: RecentEvent): Promise<void> {
    this.parts.monitor.remember(event);
  }

  async runCommand(name: string, args: readonly number[], by: Caller): Promise<void> {
    const { events } = this.parts;
    const command = TREE_COMMANDS.find((one) => one.name === name);
    if (!command) throw new UserError(`"${name}" is not a command`);
    const taken = args.slice(0, command.takes?.length ?? 0);
    const typed = [name, ...taken].join(' ');
    events.emit('operator.command', { command: typed, via: by });
    const refused = command.run(this, ...taken).then(
      () => undefined,
      (thrown: unknown) => {
        const { message: reason } = toError(thrown);
        events.emit('operator.rejected', { command: typed, via: by, reason });
        return reason;
      },
    );
    const reason = await Promise.race([refused, wait(AT_ONCE_MS, undefined, { ref: false })]);
    if (reason !== undefined) throw new UserError(reason);
  }

  private describeTree({ byPid, totalMb }: TreeMemory): TreeStats {
    const { workers, processor, phased, config } = this.parts;
    // Parts of this process have no memory of their own.
    const pss = (pid: number) => (pid === process.pid ? null : rounded(byPid.get(pid) ?? null));
    return {
      startedAt: this.startedAt.toISOString(),
      workers: workers.slots.length,
      phase: workers.phase,
      bootedWorkers: workers.slots.filter((slot) => slot.handle?.wasReady).length,
      oldWorkers: workers.handles.filter((handle) => handle.phase !== workers.phase).length,
      workerStatus: workers.slots.flatMap((slot) => slot.handles.map((handle) => describe(slot, handle, pss))),
      versions: { catamount: version(), node: process.version, release: config.release },
      pid: process.pid,
      jobProcessor: processor?.stats(pss) ?? NO_PROCESSOR,
      otherJobProcessor: processor?.otherStats(pss),
      totals: this.totals(),
      memory: { pssMb: rounded(totalMb), limitMb: config.memoryLimitMb },
      lastPhase: phased.last,
    };
  }

  private totals(): TreeTotals {
    const { workers, processor, config } = this.parts;
    const inline = inlineParts(config);
    const { cpuSeconds: ofWorkers, ...totals } = workers.counters.totals(workers.slots);
    const { user, system } = process.cpuUsage();
    return {
      ...totals,
      cpuSeconds: {
        primary: (user + system) / 1e6,
        ...(inline.web ? {} : ofWorkers),
        ...(processor && !inline.jobs && { jobs: processor.cpuSeconds }),
      },
    };
  }

  async stacks(): Promise<readonly ProcessStacks[]> {
    return Promise.all(
      this.children.map(async (child) => {
        const stacks = await child.stacks();
        child.report(stacks);
        return stacks;
      }),
    );
  }

  private get children() {
    const { workers, processor } = this.parts;
    return [...workers.handles, ...(processor?.handles ?? [])];
  }

  profile(pid: number, seconds: number): Promise<Profile> {
    return this.profiler.cpu(pid, seconds);
  }

  async heapSnapshot(pid: number): Promise<Profile> {
    const { memory, config } = this.parts;
    const { byPid, totalMb } = memory.measure();
    const [tree, own, limit] = [totalMb ?? 0, byPid.get(pid) ?? 0, config.memoryLimitMb];
    if (limit !== null && tree + own > limit) {
      throw new UserError(
        `a heap snapshot needs up to as much memory again as the process has, and ${Math.round(tree)} + ${Math.round(own)} MB ` +
          `exceed MEMORY_LIMIT_MB (${limit}). Take it of a worker that has just begun to grow, or raise the limit.`,
      );
    }
    return this.profiler.heap(pid);
  }

  async phasedRestart(): Promise<void> {
    this.needsOtherProcesses('a phased restart');
    const { phased, processor, memory, beforePhased } = this.parts;
    await phased.run(beforePhased);
    await phased.conclude(async () => processor?.restart((pid) => memory.orderForProcessor(pid)));
  }

  async restart(): Promise<void> {
    this.needsOtherProcesses('a restart of the primary');
    await this.parts.restart();
  }

  /** Resolves when the stop has begun, so that the caller gets an answer before the process exits. */
  async stop(): Promise<void> {
    setImmediate(() => void this.parts.stop('asked to stop'));
  }

  /** Resolves as `stop` does. */
  async halt(): Promise<void> {
    setImmediate(() => {
      void this.parts.stop('asked to halt', EXIT.failed);
      for (const child of this.children) child.kill('the tree is to halt');
    });
  }

  async recycle(index: number): Promise<void> {
    this.needsOtherProcesses('a replacement');
    const { workers, memory } = this.parts;
    const slot = workers.slots.find((each) => each.index === index);
    if (!slot) {
      const slots = workers.slots.map((each) => each.index).join(', ');
      throw new UserError(
        `there is no slot ${index}${slots === '' ? ': this tree has no web workers' : `; the slots are ${slots}`}`,
      );
    }
    const result = await workers.replace(slot, 'asked', memory.orderFor(slot));
    if (!result.replaced) throw new UserError(`worker ${index} ${result.reason}`);
  }

  async scale(by: 1 | -1): Promise<number> {
    this.needsOtherProcesses('another number of workers');
    if (this.parts.workers.slots.length === 0) throw new UserError('this tree has no web workers to add or remove');
    return this.parts.workers.scale(by);
  }

  async setMaxThreads(count: number): Promise<string | undefined> {
    const { workers, config } = this.parts;
    if (workers.slots.length === 0) throw new UserError('this tree has no web workers');
    workers.setMaxThreads(count);
    const { web: connections } = config.databasePool;
    if (count <= connections) return undefined;
    return `each worker has ${pluralize(connections, 'connection')} to Postgres, so that requests beyond wait for one: raise DATABASE_POOL and restart`;
  }

  async quietJobs(): Promise<void> {
    this.requireProcessor().quiet();
  }

  async resumeJobs(): Promise<void> {
    this.requireProcessor().resume();
  }

  /** @throws UserError if the web or the jobs run in this process, which cannot replace itself. */
  private needsOtherProcesses(what: string): void {
    const { web, jobs } = inlineParts(this.parts.config);
    if (!web && !jobs) return;
    const setting = [web ? 'WEB_CONCURRENCY=0' : [], jobs ? 'JOB_PROCESSOR=inline' : []].flat().join(' and ');
    throw new UserError(`${what} needs processes of their own, and ${setting} has none: stop and start the tree`);
  }

  private requireProcessor(): ProcessorSupervisor {
    const { processor } = this.parts;
    if (!processor) throw new UserError('this tree runs no job processor');
    return processor;
  }
}

const NO_PROCESSOR: TreeStats['jobProcessor'] = {
  identity: null,
  pid: null,
  state: 'disabled',
  startedAt: null,
  lastCheckin: null,
  heartbeatAgeMs: null,
  restarts: 0,
  pssMb: null,
  lastStatus: {},
};

function describe(slot: Slot, handle: WorkerHandle, pss: (pid: number) => number | null): WorkerStats {
  return {
    startedAt: handle.startedAt.toISOString(),
    pid: handle.pid,
    index: slot.index,
    phase: handle.phase,
    booted: handle.wasReady,
    state: handle.state,
    lastCheckin: handle.lastCheckin?.toISOString() ?? null,
    heartbeatAgeMs: handle.lastCheckin ? handle.heartbeatAgeMs : null,
    lastStatus: handle.status ?? {},
    pssMb: pss(handle.pid),
    restarts: slot.restarts,
    ...(handle.isSilent && { begun: handle.lastRequest }),
  };
}

function rounded(mb: number | null): number | null {
  return mb === null ? null : Number(mb.toFixed(1));
}

/** Runs the operation that a child requests. @returns the reply to send; it never rejects. */
export async function answerRequest(tree: Tree | undefined, request: RequestMessage): Promise<ReplyMessage> {
  const { id, operation, args } = request;
  if (!tree) {
    const refusal = { message: 'this tree accepts no requests from its processes', ours: false };
    return { catamount: 'reply', id, value: null, refusal };
  }
  try {
    const run = tree[operation] as (this: Tree, ...args: RequestMessage['args']) => Promise<unknown>;
    return { catamount: 'reply', id, value: await run.apply(tree, [...args]) };
  } catch (thrown) {
    const { message } = toError(thrown);
    return { catamount: 'reply', id, value: null, refusal: { message, ours: thrown instanceof UserError } };
  }
}
