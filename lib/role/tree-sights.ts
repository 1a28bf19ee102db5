import os from 'node:os';
import { Figures } from '../cluster/figures';
import type { MemoryWatch } from '../cluster/memory-watch';
import type { PhasedRestart } from '../cluster/phased-restart';
import type { Processor } from '../cluster/processor';
import { type RecentEvent, RecentEvents } from '../cluster/recent-events';
import { RecentRates } from '../cluster/recent-rates';
import type { TreeStats, WorkerStatus } from '../cluster/stats';
import type { TreePicture } from '../cluster/tree-picture';
import type { Workers } from '../cluster/workers';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import { PLANNED_SHARE } from '../core/machine';
import { type RequestCounts, sumRequests } from '../core/request-counts';
import { type Vitals, VitalsMeter } from '../core/vitals';

/** The primary's own figures are read at most so often, ms: each reading begins its percentiles anew. */
const VITALS_MS = 1000;

export interface SightsOptions {
  readonly id: string;
  readonly app: string;
  readonly config: Pick<Config, 'tree' | 'onHeroku' | 'web' | 'jobs' | 'shutdownTimeoutMs' | 'memoryLimitMb'>;
  readonly events: Events;
  readonly workers: Workers;
  readonly processor: Processor | undefined;
  readonly memory: MemoryWatch;
  readonly phased: PhasedRestart;
}

/** What the primary keeps for those who look at its tree: who it is, what has happened, how it fared. */
export class TreeSights {
  readonly figures: Figures;
  readonly rates: RecentRates;
  /** Where the tree listens. */
  address: string | null = null;
  /** Where the primary serves the web itself: what it last said of that. */
  single: WorkerStatus | null = null;
  embedded: TreePicture['embedded'] = [];
  private stopping = false;
  private readonly recent: RecentEvents;
  private readonly meter = new VitalsMeter();
  private vitals: Vitals = this.meter.read();
  private readAt = performance.now();

  constructor(private readonly options: SightsOptions) {
    const { events, workers, processor } = options;
    this.recent = new RecentEvents(events);
    const requests = () => this.requests();
    this.figures = new Figures({ requests, memory: () => this.memoryByProcess() });
    this.rates = new RecentRates(requests);
    workers.onTold = (status) => this.hear(status);
    if (!processor) return;
    processor.onWork = (work) => this.figures.addWork(work);
    processor.onEvent = (event) => this.remember(event);
  }

  /** Something that another process of the tree has seen. */
  remember(event: RecentEvent): void {
    this.recent.add(event);
  }

  start(): void {
    this.figures.start();
    this.rates.start();
  }

  /** From now on the tree is said to stop; the last part of its figures is there to be written down. */
  stop(): void {
    this.stopping = true;
    this.figures.stop();
    this.rates.stop();
    this.figures.cut();
  }

  /** The primary serves the web itself, and tells of that. */
  hearSingle(status: WorkerStatus): void {
    this.single = status;
    this.hear(status);
  }

  private hear({ slowest }: WorkerStatus): void {
    this.figures.addSlowest(slowest);
    this.rates.addSlowest(slowest);
  }

  /** What the tree has answered since it began. */
  private requests(): RequestCounts {
    const { workers } = this.options;
    return sumRequests([workers.ledger.totals(workers.slots).requests, this.single?.requests ?? []].flat());
  }

  /** @param stats of this moment. */
  look(stats: TreeStats): TreePicture {
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
      slots: workers.slots.map((slot) => slot.picture()),
      processor: { death: processor?.death ?? null, nextTry: processor?.nextTry ?? null },
      vitals: { pssMb: memory.recent().byPid.get(process.pid) ?? null, ...this.readVitals() },
      limits: {
        maxThreads: web.maxThreads,
        backlog: web.backlog,
        jobConcurrency: processor ? jobs.concurrency : 0,
        queues: jobs.queues.map((queue) => queue.name),
        weighted: jobs.weighted,
        latencyWarningMs: jobs.latencyWarningMs,
        recycleAboveMb: memoryLimitMb === null ? null : memoryLimitMb * PLANNED_SHARE,
        drainMs: config.shutdownTimeoutMs,
      },
      rates: this.rates.read(),
      events: this.recent.list(),
      embedded: this.embedded,
      phasedRestart: phased.underWay,
      stopping: this.stopping,
    };
  }

  /** Several trees of one host are told apart by where they listen. */
  private name(): string {
    const { config } = this.options;
    if (config.onHeroku) return config.tree.name;
    if (!config.web.enabled) return `${config.tree.name} jobs`;
    const port = this.address !== null && URL.canParse(this.address) ? new URL(this.address).port : '';
    return port === '' ? config.tree.name : `${config.tree.name}:${port}`;
  }

  private readVitals(): Vitals {
    if (performance.now() - this.readAt < VITALS_MS) return this.vitals;
    this.readAt = performance.now();
    this.vitals = this.meter.read();
    return this.vitals;
  }

  private memoryByProcess(): Record<string, number> {
    const { workers, processor, memory } = this.options;
    const { byPid } = memory.recent();
    const named: [string, number][] = [['primary', process.pid]];
    for (const handle of workers.handles) named.push([`worker ${handle.slot}`, handle.pid]);
    for (const pid of processor?.pids ?? []) named.push(['jobs', pid]);
    const sizes: Record<string, number> = {};
    for (const [name, pid] of named) {
      const mb = byPid.get(pid);
      // During a replacement a place has two.
      if (mb !== undefined) sizes[name] = Math.round(((sizes[name] ?? 0) + mb) * 10) / 10;
    }
    return sizes;
  }
}
