import fs from 'node:fs';
import os from 'node:os';
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Events } from './events';

/** Metrics of a process; those of the event loop cover the time since the previous reading. */
export interface ProcessMetrics {
  /** 99th percentile of the event loop's delay, ms. */
  readonly lagP99Ms: number;
  /** Event-loop utilisation, 0 to 1. */
  readonly utilization: number;
  readonly rssMb: number;
  /** CPU time that the process has used since its start. */
  readonly cpuSeconds: number;
}

/** Interval of samples of the event loop's delay, ms; long enough to cost nothing in an idle process. */
const RESOLUTION_MS = 20;

export class ProcessMetricsSampler {
  private readonly delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  private rssMb = 0;
  private since: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.delay.enable();
  }

  read(): ProcessMetrics {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.since);
    this.since = now;
    // A sample is the whole interval of a timer, so the resolution is subtracted.
    const lagP99Ms = Math.max(0, this.delay.percentile(99) / 1e6 - RESOLUTION_MS);
    this.delay.reset();
    const { user, system } = process.cpuUsage();
    return {
      lagP99Ms: round(lagP99Ms, 1),
      utilization: round(utilization, 3),
      rssMb: this.readRss(),
      cpuSeconds: round((user + system) / 1e6, 3),
    };
  }

  /** Linux reports the RSS in a file. When no descriptor is left to open it, the previous value is kept. */
  private readRss(): number {
    try {
      this.rssMb = round(process.memoryUsage.rss() / 1048576, 1);
    } catch (error) {
      if (!isShortage(error)) throw error;
    }
    return this.rssMb;
  }
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** The state of a process's pool of connections. */
export interface PoolStats {
  readonly used: number;
  readonly idle: number;
  /** Number of requests for a connection that wait. */
  readonly waiting: number;
  readonly max: number;
}

/** Interval of attempts to open a file, ms. */
const DESCRIPTOR_CHECK_INTERVAL_MS = 1000;
/** Interval of reports while no file can be opened, ms. */
const DESCRIPTOR_REPORT_INTERVAL_MS = 60_000;

/**
 * Reports that the process has no file descriptor left. Nothing else would show it: libuv then drops new connections to
 * keep the event loop from spinning, without an error in Node.
 */
export class DescriptorWatch {
  private reportedAt = Number.NEGATIVE_INFINITY;
  private isExhausted = false;

  /** @param now a monotonic clock, ms. */
  constructor(
    private readonly events: Events,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Checks until the process ends, without keeping it alive. */
  start(): void {
    setInterval(() => this.check(), DESCRIPTOR_CHECK_INTERVAL_MS).unref();
  }

  check(): void {
    const code = shortage();
    if (code !== undefined && this.now() - this.reportedAt >= DESCRIPTOR_REPORT_INTERVAL_MS) {
      this.reportedAt = this.now();
      this.events.emit('descriptors.exhausted', { code });
    }
    if (code === undefined && this.isExhausted) this.events.emit('descriptors.freed', {});
    this.isExhausted = code !== undefined;
  }
}

/** EMFILE: this process has no descriptor left; ENFILE: the whole machine has none. */
export function isShortage(error: unknown): error is NodeJS.ErrnoException & { readonly code: 'EMFILE' | 'ENFILE' } {
  return error instanceof Error && 'code' in error && (error.code === 'EMFILE' || error.code === 'ENFILE');
}

function shortage(): string | undefined {
  try {
    fs.closeSync(fs.openSync(os.devNull, 'r'));
    return undefined;
  } catch (error) {
    return isShortage(error) ? error.code : undefined;
  }
}
