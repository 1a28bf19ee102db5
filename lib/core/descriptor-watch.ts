import fs from 'node:fs';
import os from 'node:os';
import type { Events } from './events';

/** Interval of attempts to open a file, ms. */
const CHECK_INTERVAL_MS = 1000;
/** Interval of reports while no file can be opened, ms. */
const TELL_MS = 60_000;

/**
 * Reports that the process has no file descriptor left. Nothing else would show it: libuv then drops new connections to
 * keep the event loop from spinning, and does not tell Node.
 */
export class DescriptorWatch {
  private toldAt = Number.NEGATIVE_INFINITY;
  private isExhausted = false;

  /** @param now a monotonic clock, ms. */
  constructor(
    private readonly events: Events,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Checks until the process ends, without keeping it alive. */
  start(): void {
    setInterval(() => this.check(), CHECK_INTERVAL_MS).unref();
  }

  check(): void {
    const code = shortage();
    if (code !== undefined && this.now() - this.toldAt >= TELL_MS) {
      this.toldAt = this.now();
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
