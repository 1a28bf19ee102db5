import os from 'node:os';
import { type Config, connectionsOfTree } from '../../core/config';
import type { Events } from '../../core/events';
import { RECYCLE_THRESHOLD } from '../../core/memory-plan';
import type { RecentEvent } from '../../core/notable-events';
import { type ProcessMetrics, ProcessMetricsSampler } from '../../core/process-metrics';
import type { RequestCounts } from '../../core/request-counts';
import { PeriodicTask } from '../../support/periodic-task';
import type { TreeStats, TreeStatus, WorkerStatus } from '../status';
import { EventBuffer } from './event-buffer';
import type { MemoryWatch } from './memory-watch';
import type { PhasedRestart } from './phased-restart';
import type { ProcessorSupervisor } from './processor';
import { RecentRates, SAMPLE_INTERVAL_MS } from './recent-rates';
import { ROLLUP_INTERVAL_MS, Rollups } from './rollups';
import type { WorkerPool } from './worker-pool';

/** Minimum interval between two reads of the primary's own metrics, ms: each read resets their percentiles. */
const METRICS_INTERVAL_MS = 1000;

export interface TreeMonitorOptions {
  readonly id: string;
  readonly app: string;
  readonly config: Pick<
    Config,
    'tree' | 'onHeroku' | 'web' | 'jobs' | 'shutdownTimeoutMs' | 'memoryLimitMb' | 'databasePool'
  >;
  readonly events: Events;
  readonly workers: WorkerPool;
  readonly processor: ProcessorSupervisor | undefined;
  readonly memory: MemoryWatch;
  readonly phased: PhasedRestart;
  /** true: the tree is stopping. Default: it never is. */
  readonly isStopping?: () => boolean;
}

/** Collects the tree's status in the primary: its identity, events, rates and rollups. */
export class TreeMonitor {
  readonly rollups: Rollups;
  readonly rates: RecentRates;
  readonly tasks: readonly PeriodicTask[];
  address: string | null = null;
  embedded: TreeStatus['embedded'] = [];
  private readonly isStopping: () => boolean;
  private readonly eventBuffer: EventBuffer;
  private readonly sampler = new ProcessMetricsSampler();
  private processMetrics: ProcessMetrics = this.sampler.read();
  private readAt = performance.now();

  constructor(private readonly options: TreeMonitorOptions) {
    const { events, workers, processor, isStopping = () => false } = options;
    this.isStopping = isStopping;
    this.eventBuffer = new EventBuffer(events);
    const requests = () => this.requests();
    this.rollups = new Rollups({ requests, memory: () => this.memoryByProcess(), isStopping });
    this.rates = new RecentRates(requests);
    const onError = (error: Error) => events.emit('process.error', { error, during: "counting the tree's requests" });
    this.tasks = [
      new PeriodicTask({ everyMs: ROLLUP_INTERVAL_MS, work: async () => this.rollups.closeIfOver(), onError }),
      new PeriodicTask({ everyMs: SAMPLE_INTERVAL_MS, work: async () => this.rates.sample(), onError }),
    ];
    workers.onStatus = (status) => this.hear(status);
    if (!processor) return;
    processor.onWork = (work) => this.rollups.addWork(work);
    processor.onEvent = (event) => this.remember(event);
  }

  remember(event: RecentEvent): void {
    this.eventBuffer.add(event);
  }

  private hear({ slowest }: WorkerStatus): void {
    this.rollups.addSlowest(slowest);
    this.rates.addSlowest(slowest);
  }

  /** Request counters since the tree began. */
  private requests(): RequestCounts {
    const { workers } = this.options;
    return workers.counters.totals(workers.slots).requests;
  }

  status(stats: TreeStats): TreeStatus {
    const { id, app, config, workers, processor, memory, phased } = this.options;
    const { web, jobs, memoryLimitMb } = config;
    return {
      at: new Date().toISOString(),
      id,
      app,
      name: this.name(),
      place: config.tree.place,
      host: os.hostname(),
      address: this.address,
      stats,
      slots: workers.slots.map((slot) => slot.treeStatus()),
      nextCulled: workers.nextCulled?.index ?? null,
      processor: { lastTermination: processor?.policy.last ?? null, nextRestart: processor?.policy.next ?? null },
      processMetrics: { pssMb: memory.recent().byPid.get(process.pid) ?? null, ...this.readProcessMetrics() },
      limits: {
        maxThreads: workers.maxThreads,
        backlog: web.backlog,
        jobConcurrency: processor ? jobs.concurrency : 0,
        queues: jobs.queues.map((queue) => queue.name),
        weighted: jobs.weighted,
        latencyWarningMs: jobs.latencyWarningMs,
        recycleAboveMb: memoryLimitMb === null ? null : memoryLimitMb * RECYCLE_THRESHOLD,
        drainMs: config.shutdownTimeoutMs,
        bootTimeoutMs: web.bootTimeoutMs,
        databaseConnections: connectionsOfTree(config),
      },
      rates: this.rates.read(),
      events: this.eventBuffer.list(),
      embedded: this.embedded,
      phasedRestart: phased.underWay,
      stopping: this.isStopping(),
    };
  }

  /** Trees on one host differ by the port on which they listen. */
  private name(): string {
    const { config } = this.options;
    if (config.onHeroku) return config.tree.name;
    if (!config.web.enabled) return `${config.tree.name} jobs`;
    const port = this.address !== null && URL.canParse(this.address) ? new URL(this.address).port : '';
    return port === '' ? config.tree.name : `${config.tree.name}:${port}`;
  }

  private readProcessMetrics(): ProcessMetrics {
    if (performance.now() - this.readAt < METRICS_INTERVAL_MS) return this.processMetrics;
    this.readAt = performance.now();
    this.processMetrics = this.sampler.read();
    return this.processMetrics;
  }

  private memoryByProcess(): Record<string, number> {
    const { workers, processor, memory } = this.options;
    const { byPid } = memory.recent();
    const named: [string, number][] = [['primary', process.pid]];
    for (const handle of workers.handles) if (!handle.isInProcess) named.push([`worker ${handle.slot}`, handle.pid]);
    for (const { pid, isInProcess } of processor?.handles ?? []) if (!isInProcess) named.push(['jobs', pid]);
    const sizes: Record<string, number> = {};
    for (const [name, pid] of named) {
      const mb = byPid.get(pid);
      // During a replacement two processes share a name.
      if (mb !== undefined) sizes[name] = Math.round(((sizes[name] ?? 0) + mb) * 10) / 10;
    }
    return sizes;
  }
}
