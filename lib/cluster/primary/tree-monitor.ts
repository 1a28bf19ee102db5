import os from 'node:os';
import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import { RECYCLE_THRESHOLD } from '../../core/memory-plan';
import { EventBuffer, type RecentEvent } from '../../core/notable-events';
import { type ProcessMetrics, ProcessMetricsSampler } from '../../core/process-metrics';
import { NONE_SLOW, type RequestCounts, type Slowest, slowerOf, sumRequests } from '../../core/request-counts';
import type { Rollup, RollupCounters, TreeStats, TreeStatus, Work, WorkerStatus } from '../status';
import type { MemoryWatch } from './memory-watch';
import type { PhasedRestart } from './phased-restart';
import type { ProcessorSupervisor } from './processor';
import type { WorkerPool } from './worker-pool';

/** The primary's own figures are read at most so often, ms: each reading begins its percentiles anew. */
const VITALS_MS = 1000;

export interface SightsOptions {
  readonly id: string;
  readonly app: string;
  readonly config: Pick<Config, 'tree' | 'onHeroku' | 'web' | 'jobs' | 'shutdownTimeoutMs' | 'memoryLimitMb'>;
  readonly events: Events;
  readonly workers: WorkerPool;
  readonly processor: ProcessorSupervisor | undefined;
  readonly memory: MemoryWatch;
  readonly phased: PhasedRestart;
}

/** What the primary keeps for those who look at its tree: who it is, what has happened, how it fared. */
export class TreeMonitor {
  readonly rollups: Rollups;
  readonly rates: RecentRates;
  /** Where the tree listens. */
  address: string | null = null;
  /** Where the primary serves the web itself: what it last said of that. */
  single: WorkerStatus | null = null;
  embedded: TreeStatus['embedded'] = [];
  private stopping = false;
  private readonly recent: EventBuffer;
  private readonly meter = new ProcessMetricsSampler();
  private vitals: ProcessMetrics = this.meter.read();
  private readAt = performance.now();

  constructor(private readonly options: SightsOptions) {
    const { events, workers, processor } = options;
    this.recent = new EventBuffer(events);
    const requests = () => this.requests();
    this.rollups = new Rollups({ requests, memory: () => this.memoryByProcess() });
    this.rates = new RecentRates(requests);
    workers.onTold = (status) => this.hear(status);
    if (!processor) return;
    processor.onWork = (work) => this.rollups.addWork(work);
    processor.onEvent = (event) => this.remember(event);
  }

  /** Something that another process of the tree has seen. */
  remember(event: RecentEvent): void {
    this.recent.add(event);
  }

  start(): void {
    this.rollups.start();
    this.rates.start();
  }

  /** From now on the tree is said to stop; the last part of its figures is there to be written down. */
  stop(): void {
    this.stopping = true;
    this.rollups.stop();
    this.rates.stop();
    this.rollups.cut();
  }

  /** The primary serves the web itself, and tells of that. */
  hearSingle(status: WorkerStatus): void {
    this.single = status;
    this.hear(status);
  }

  private hear({ slowest }: WorkerStatus): void {
    this.rollups.addSlowest(slowest);
    this.rates.addSlowest(slowest);
  }

  /** What the tree has answered since it began. */
  private requests(): RequestCounts {
    const { workers } = this.options;
    return sumRequests([workers.ledger.totals(workers.slots).requests, this.single?.requests ?? []].flat());
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
      slots: workers.slots.map((slot) => slot.picture()),
      processor: { death: processor?.policy.last ?? null, nextTry: processor?.policy.next ?? null },
      vitals: { pssMb: memory.recent().byPid.get(process.pid) ?? null, ...this.readVitals() },
      limits: {
        maxThreads: web.maxThreads,
        backlog: web.backlog,
        jobConcurrency: processor ? jobs.concurrency : 0,
        queues: jobs.queues.map((queue) => queue.name),
        weighted: jobs.weighted,
        latencyWarningMs: jobs.latencyWarningMs,
        recycleAboveMb: memoryLimitMb === null ? null : memoryLimitMb * RECYCLE_THRESHOLD,
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

  private readVitals(): ProcessMetrics {
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

const EVERY_MS = 2000;
const KEPT_MS = 60_000;
/** Requests a second are those of the last so many milliseconds. */
const RATE_MS = 10_000;
/** The slowest request is looked for among those of the last so many milliseconds: as long as `top` looks back. */
export const SLOWEST_MS = 5000;

/** `slowestMs`: of the requests since the sample before. */
type Sample = ReturnType<typeof sumsOf> & { readonly at: number; readonly slowestMs: number };

/** What the tree has answered of late, as differences between samples. */
export class RecentRates {
  private samples: Sample[] = [];
  private timer: NodeJS.Timeout | undefined;
  private slowestMs = 0;

  /** @param requests since the tree began. */
  constructor(
    private readonly requests: () => RequestCounts,
    private readonly now: () => number = Date.now,
  ) {
    this.sample();
  }

  start(): void {
    this.timer ??= setInterval(() => this.sample(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  sample(): void {
    const at = this.now();
    this.samples = this.samples.filter((one) => one.at >= at - KEPT_MS);
    this.samples.push({ at, ...sumsOf(this.requests()), slowestMs: this.slowestMs });
    this.slowestMs = 0;
  }

  addSlowest({ durationMs }: Slowest): void {
    this.slowestMs = Math.max(this.slowestMs, durationMs);
  }

  read(): TreeStatus['rates'] {
    const now = { at: this.now(), ...sumsOf(this.requests()) };
    const oldest = this.samples[0] ?? now;
    const before = this.samples.find((one) => one.at >= now.at - RATE_MS) ?? now;
    const seconds = Math.max(1, (now.at - before.at) / 1000);
    const late = this.samples.filter((one) => one.at > now.at - SLOWEST_MS);
    return {
      requestsPerS: (now.requests - before.requests) / seconds,
      shed: now.shed - oldest.shed,
      serverErrors: now.serverErrors - oldest.serverErrors,
      slowestMs: Math.max(this.slowestMs, ...late.map((one) => one.slowestMs)),
    };
  }
}

/** How long one part of the figures is, ms. */
export const ROLLUP_INTERVAL_MS = 10_000;
/** Parts that are kept until they are in Redis; of those before them the sums are kept. */
const MOST_PARTS = 60;

export interface RollupSource {
  /** Since the tree began. */
  readonly requests: () => RequestCounts;
  readonly memory: () => Readonly<Record<string, number>>;
}

/** Sums up what the children tell, in parts of ten seconds, until somebody has written them down. */
export class Rollups {
  private parts: Rollup[] = [];
  private count = 0;
  private before: RequestCounts;
  private work = { processed: 0, failed: 0 };
  private slowest = NONE_SLOW;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly source: RollupSource) {
    this.before = source.requests();
  }

  start(): void {
    this.timer ??= setTimeout(() => this.tick(), ROLLUP_INTERVAL_MS - (Date.now() % ROLLUP_INTERVAL_MS));
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  addWork({ processed, failed }: Work): void {
    this.work.processed += processed;
    this.work.failed += failed;
  }

  addSlowest(slowest: Slowest): void {
    this.slowest = slowerOf(this.slowest, slowest);
  }

  /** The parts after that number; those up to it are not needed any more. */
  after(number: number): readonly Rollup[] {
    this.parts = this.parts.filter((part) => part.number > number);
    return this.parts;
  }

  /** Ends the part at hand before its time: nothing more is to come. */
  cut(at = floorTo(Date.now())): void {
    const { before, work } = this;
    const now = this.source.requests();
    const [upToNow, upToThen] = [sumsOf(now), sumsOf(before)];
    const sums = {
      requests: upToNow.requests - upToThen.requests,
      serverErrors: upToNow.serverErrors - upToThen.serverErrors,
      shed: upToNow.shed - upToThen.shed,
      processed: work.processed,
      failed: work.failed,
    };
    const duration = since(now.duration.counts, before.duration.counts);
    const queued = since(now.queued.counts, before.queued.counts);
    const { slowest } = this;
    this.parts.push({ number: ++this.count, at, sums, duration, queued, slowest, memory: this.source.memory() });
    this.before = now;
    this.slowest = NONE_SLOW;
    this.work = { processed: 0, failed: 0 };
    if (this.parts.length > MOST_PARTS) this.foldOldest();
  }

  private tick(): void {
    // The timer may be early by a millisecond.
    this.cut(floorTo(Date.now() - ROLLUP_INTERVAL_MS / 2));
    this.timer = undefined;
    this.start();
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

/** What the graphs and the rates tell of requests. */
export function sumsOf({
  answered,
  shed: refused,
}: RequestCounts): Pick<RollupCounters, 'requests' | 'serverErrors' | 'shed'> {
  const total = (fits: (key: string) => boolean) =>
    Object.entries(answered).reduce((sum, [key, count]) => (fits(key) ? sum + count : sum), 0);
  const shed = Object.values(refused).reduce((sum, count) => sum + count, 0);
  return { requests: total(() => true), serverErrors: total((key) => key.endsWith('5xx')), shed };
}

function since(now: readonly number[], before: readonly number[]): number[] {
  return now.map((count, i) => count - (before[i] ?? 0));
}
