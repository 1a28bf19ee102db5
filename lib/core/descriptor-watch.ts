import fs from 'node:fs';
import os from 'node:os';
import type { Events } from './events';

/** How often it is tried whether a file can be opened, ms. */
const CHECK_INTERVAL_MS = 1000;
/** As long as none can, the log is told so often, ms. */
const TELL_MS = 60_000;

/**
 * Tells of a process that has no file descriptor left. Nothing else would: libuv drops whoever connects then, to keep the
 * event loop from spinning, and Node does not hear of it.
 */
export class DescriptorWatch {
  private toldAt = Number.NEGATIVE_INFINITY;
  private isExhausted = false;

  /** @param now a clock that only goes on, ms. */
  constructor(
    private readonly events: Events,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Until the end of the process, which it does not keep alive. */
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
