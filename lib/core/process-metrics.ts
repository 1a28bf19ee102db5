import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { isShortage } from './descriptor-watch';

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

export interface PoolStats {
  readonly used: number;
  readonly idle: number;
  readonly waiting: number;
  readonly max: number;
}
