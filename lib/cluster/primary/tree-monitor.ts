import os from 'node:os';
import { type Config, connectionsOfTree } from '../../core/config';
import type { Events } from '../../core/events';
import { RECYCLE_THRESHOLD } from '../../core/memory-plan';
import { EventBuffer, type RecentEvent } from '../../core/notable-events';
import { type ProcessMetrics, ProcessMetricsSampler } from '../../core/process-metrics';
import {
  NONE_SLOW,
  type RequestCounts,
  SLOWEST_MS,
  type Slowest,
  slowerOf,
  sumRequests,
  totalsOf,
} from '../../core/request-counts';
import { countsSince, RateWindow } from '../../support/histogram';
import { PeriodicTask } from '../../support/periodic-task';
import type { Rollup, RollupCounters, TreeStats, TreeStatus, Work, WorkerStatus } from '../status';
import type { MemoryWatch } from './memory-watch';
import type { PhasedRestart } from './phased-restart';
import type { ProcessorSupervisor } from './processor';
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
  /** The address at which the tree listens. */
  address: string | null = null;
  /** The primary's own last web status, if it serves the web itself. */
  single: WorkerStatus | null = null;
  embedded: TreeStatus['embedded'] = [];
  private readonly isStopping: () => boolean;
  private readonly recent: EventBuffer;
  private readonly sampler = new ProcessMetricsSampler();
  private processMetrics: ProcessMetrics = this.sampler.read();
  private readAt = performance.now();

  constructor(private readonly options: TreeMonitorOptions) {
    const { events, workers, processor, isStopping = () => false } = options;
    this.isStopping = isStopping;
    this.recent = new EventBuffer(events);
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

  /** Adds an event seen by another process of the tree. */
  remember(event: RecentEvent): void {
    this.recent.add(event);
  }

  /** Receives the status of the web in this process. */
  hearSingle(status: WorkerStatus): void {
    this.single = status;
    this.hear(status);
  }

  private hear({ slowest }: WorkerStatus): void {
    this.rollups.addSlowest(slowest);
    this.rates.addSlowest(slowest);
  }

  /** Request counters since the tree began. */
  private requests(): RequestCounts {
    const { workers } = this.options;
    return sumRequests([workers.counters.totals(workers.slots).requests, this.single?.requests ?? []].flat());
  }

  /** @param stats of this moment. */
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
      processor: { lastTermination: processor?.policy.last ?? null, nextRestart: processor?.policy.next ?? null },
      processMetrics: { pssMb: memory.recent().byPid.get(process.pid) ?? null, ...this.readProcessMetrics() },
      limits: {
        maxThreads: web.maxThreads,
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
      events: this.recent.list(),
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
    for (const handle of workers.handles) named.push([`worker ${handle.slot}`, handle.pid]);
    for (const pid of processor?.pids ?? []) named.push(['jobs', pid]);
    const sizes: Record<string, number> = {};
    for (const [name, pid] of named) {
      const mb = byPid.get(pid);
      // During a replacement two processes share a name.
      if (mb !== undefined) sizes[name] = Math.round(((sizes[name] ?? 0) + mb) * 10) / 10;
    }
    return sizes;
  }
}

const SAMPLE_INTERVAL_MS = 2000;
const KEPT_MS = 60_000;
/** Window of the request rate, ms. */
const RATE_MS = 10_000;

/** Rates of the recent past, as differences between samples of the counters. */
export class RecentRates {
  private readonly window = new RateWindow<ReturnType<typeof totalsOf> & { readonly slowestMs: number }>(KEPT_MS);
  /** The slowest request since the last sample. */
  private slowestMs = 0;

  /** @param requests counters since the tree began. @param now ms. */
  constructor(
    private readonly requests: () => RequestCounts,
    private readonly now: () => number = Date.now,
  ) {
    this.sample();
  }

  sample(): undefined {
    this.window.add(this.now(), { ...totalsOf(this.requests()), slowestMs: this.slowestMs });
    this.slowestMs = 0;
  }

  addSlowest({ durationMs }: Slowest): void {
    this.slowestMs = Math.max(this.slowestMs, durationMs);
  }

  read(): TreeStatus['rates'] {
    const at = this.now();
    const now = { at, value: totalsOf(this.requests()) };
    const [before = now] = this.window.within(at, RATE_MS);
    const [{ value: oldest } = now] = this.window.within(at, KEPT_MS);
    // A sample at the very edge of the window covers the time before it.
    const late = this.window.within(at, SLOWEST_MS).filter((one) => one.at > at - SLOWEST_MS);
    return {
      requestsPerS: (now.value.requests - before.value.requests) / Math.max(1, (at - before.at) / 1000),
      shed: now.value.shed - oldest.shed,
      serverErrors: now.value.serverErrors - oldest.serverErrors,
      slowestMs: Math.max(this.slowestMs, ...late.map(({ value }) => value.slowestMs)),
    };
  }
}

/** Length of one rollup, ms. */
export const ROLLUP_INTERVAL_MS = 10_000;
/** Maximum number of rollups kept until they are stored in Redis; the oldest ones are merged. */
const MOST_PARTS = 60;

export interface RollupSource {
  /** Counters since the tree began. */
  readonly requests: () => RequestCounts;
  readonly memory: () => Readonly<Record<string, number>>;
  /** true: each read ends the current rollup, so that what ends during the stop is counted and stored, too. */
  readonly isStopping: () => boolean;
}

/** Sums up the children's reports in intervals of ten seconds, and keeps the rollups until they are stored. */
export class Rollups {
  private parts: Rollup[] = [];
  private count = 0;
  private before: RequestCounts;
  private work = { processed: 0, failed: 0 };
  private slowest = NONE_SLOW;
  /** Start of the current rollup, ms since 1970. */
  private startedAt = floorTo(Date.now());

  constructor(private readonly source: RollupSource) {
    this.before = source.requests();
  }

  addWork({ processed, failed }: Work): void {
    this.work.processed += processed;
    this.work.failed += failed;
  }

  addSlowest(slowest: Slowest): void {
    this.slowest = slowerOf(this.slowest, slowest);
  }

  /** The rollups after that number; those up to it have been stored, and are dropped. */
  after(number: number): readonly Rollup[] {
    if (this.source.isStopping()) this.closeRollup();
    this.parts = this.parts.filter((part) => part.number > number);
    return this.parts;
  }

  /** Ends the current rollup if its time is over. @returns ms until that of the next one. */
  closeIfOver(): number {
    const now = Date.now();
    const began = this.startedAt;
    this.startedAt = floorTo(now);
    if (this.startedAt !== began) this.closeRollup(began);
    return this.startedAt + ROLLUP_INTERVAL_MS - now;
  }

  /** Ends the current rollup, at its time or early, when the tree stops. @param at its start, ms since 1970. */
  closeRollup(at = floorTo(Date.now())): void {
    const { before, work } = this;
    const now = this.source.requests();
    const [upToNow, upToThen] = [totalsOf(now), totalsOf(before)];
    const sums = {
      requests: upToNow.requests - upToThen.requests,
      serverErrors: upToNow.serverErrors - upToThen.serverErrors,
      shed: upToNow.shed - upToThen.shed,
      processed: work.processed,
      failed: work.failed,
    };
    const duration = countsSince(now.duration.counts, before.duration.counts);
    const queued = countsSince(now.queued.counts, before.queued.counts);
    const { slowest } = this;
    this.parts.push({ number: ++this.count, at, sums, duration, queued, slowest, memory: this.source.memory() });
    this.before = now;
    this.slowest = NONE_SLOW;
    this.work = { processed: 0, failed: 0 };
    if (this.parts.length > MOST_PARTS) this.foldOldest();
  }

  private foldOldest(): void {
    const [first, second] = this.parts;
    if (!first || !second) return;
    const sums = { ...second.sums };
    for (const name of Object.keys(sums) as (keyof RollupCounters)[]) sums[name] += first.sums[name];
    const add = (name: 'duration' | 'queued') => second[name].map((count, i) => count + (first[name][i] ?? 0));
    const slowest = slowerOf(first.slowest, second.slowest);
    this.parts.splice(0, 2, { ...second, sums, duration: add('duration'), queued: add('queued'), slowest });
  }
}

function floorTo(at: number): number {
  return Math.floor(at / ROLLUP_INTERVAL_MS) * ROLLUP_INTERVAL_MS;
}
