import fs from 'node:fs';
import os from 'node:os';
import { performance } from 'node:perf_hooks';
import type { Events } from './events';

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

  constructor(private readonly events: Events) {}

  /** Checks until the process ends, without keeping it alive. */
  start(): void {
    setInterval(() => this.check(), DESCRIPTOR_CHECK_INTERVAL_MS).unref();
  }

  check(): void {
    const code = shortage();
    if (code !== undefined && performance.now() - this.reportedAt >= DESCRIPTOR_REPORT_INTERVAL_MS) {
      this.reportedAt = performance.now();
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
