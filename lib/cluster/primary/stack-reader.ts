import fs from 'node:fs';
import { Deadline, valueWithin } from '../../support/deadline';
import { type Deferred, deferred } from '../../support/deferred';
import { toError } from '../../support/to-error';
import { isInspected, nodeOptions } from '../child-process';
import type { ThreadStack } from '../status';

/** Time for the process to say that its inspector is open, and then to answer, ms. */
export const STACK_LIMIT_MS = 4000;

/**
 * Reads what a child runs at this moment, also while it is blocked. Children leave SIGUSR1 to Node, which opens their inspector.
 * It is open for some milliseconds, to this machine only, under an id that nobody else learns. If somebody else sends the
 * signal, it is closed as fast.
 */
export class StackReader {
  private reading: Promise<readonly ThreadStack[] | string> | undefined;
  private opened: Deferred<string> | undefined;

  /** @param onIntrusion called when the inspector was opened by someone else, and is being closed. */
  constructor(
    private readonly pid: number,
    private readonly onIntrusion: () => void,
  ) {}

  /** Call when the child says that its inspector is open. */
  heard(url: string): void {
    if (this.opened) {
      this.opened.resolve(url);
      return;
    }
    this.onIntrusion();
    void import('./thread-stacks').then(({ closeInspector }) => closeInspector(url)).catch(() => undefined);
  }

  /** @returns the stacks of its threads that run JavaScript, or why they cannot be read. */
  read(limitMs = STACK_LIMIT_MS): Promise<readonly ThreadStack[] | string> {
    this.reading ??= this.readNow(Deadline.after(limitMs))
      .catch((error: unknown) => toError(error).message)
      .finally(() => {
        this.reading = undefined;
      });
    return this.reading;
  }

  private async readNow(deadline: Deadline): Promise<readonly ThreadStack[] | string> {
    if (this.pid === process.pid) return 'it runs in the primary, which cannot read its own';
    if (isInspected()) return 'its inspector is left to you, since the tree runs with --inspect';
    if (!catchesSignal(this.pid)) return 'Node does not listen to SIGUSR1 there';
    const { readThreads, NO_ANSWER } = await import('./thread-stacks');
    this.opened = deferred();
    try {
      process.kill(this.pid, 'SIGUSR1');
      const url = await valueWithin(this.opened.promise, deadline.remaining(), undefined);
      return url === undefined ? NO_ANSWER : await readThreads(url, deadline);
    } finally {
      this.opened = undefined;
    }
  }
}

/** SIGUSR1 ends a process that does not catch it: one that has just begun, or whose Node does not listen to it. */
function catchesSignal(pid: number): boolean {
  try {
    const caught = /^SigCgt:\s*([\da-f]+)$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    // The bit of signal 10.
    return caught !== undefined && ((BigInt(`0x${caught}`) >> 9n) & 1n) === 1n;
  } catch {
    // There is no /proc.
    return !nodeOptions().includes('--disable-sigusr1');
  }
}
