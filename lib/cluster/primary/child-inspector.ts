import fs from 'node:fs';
import { Deadline, valueWithin, withTimeout } from '../../support/deadline';
import { type Deferred, deferred } from '../../support/deferred';
import { isInspected, nodeOptions } from '../child-process';
import type { InspectorSession } from './inspector-session';

/** Time for the process to say that its inspector is open, and for short questions to be answered, ms. */
export const ANSWER_LIMIT_MS = 4000;

export const NO_ANSWER = 'it does not answer: it is stopped, in native code, or handles SIGUSR1 itself';

/**
 * Opens the inspector of a child, also while that is blocked. Children leave SIGUSR1 to Node, which opens it. It is open only
 * while it is used, to this machine only, under an id that nobody else learns. If somebody else sends the signal, it is closed
 * at once.
 */
export class ChildInspector {
  private heardUrl: Deferred<string> | undefined;
  /** Its address while it is used. */
  private opened: Promise<string> | undefined;
  private closing: Promise<unknown> = Promise.resolve();
  private readonly sessions = new Set<InspectorSession>();
  private users = 0;

  /** @param onIntrusion called when the inspector was opened by someone else, and is being closed. */
  constructor(
    private readonly pid: number,
    private readonly onIntrusion: () => void,
  ) {}

  /** Call when the child says that its inspector is open. */
  heard(url: string): void {
    if (this.heardUrl) {
      this.heardUrl.resolve(url);
      return;
    }
    this.onIntrusion();
    const close = async () => closeInspector(await (await this.load()).open(url));
    void close().catch(() => undefined);
  }

  /** Cuts what uses it. Call when the child is about to exit: it would wait for the end of our sessions. */
  cut(): void {
    for (const session of this.sessions) session.end();
  }

  /**
   * Opens it, unless it is open, and closes it after its last use.
   * @throws Error that says why it cannot be asked; what `work` throws; an error if the child ends, or is late.
   */
  async use<T>(limitMs: number, work: (session: InspectorSession, deadline: Deadline) => Promise<T>): Promise<T> {
    const deadline = Deadline.after(limitMs);
    if (this.pid === process.pid) throw new Error('it runs in the primary, which cannot read its own');
    if (isInspected()) throw new Error('its inspector is left to you, since the tree runs with --inspect');
    if (!catchesSignal(this.pid)) throw new Error('Node does not listen to SIGUSR1 there');
    const InspectorSession = await this.load();
    // A signal that comes before the inspector is closed opens none.
    await this.closing;
    this.users++;
    let session: InspectorSession | undefined;
    try {
      this.opened ??= this.open(Math.min(deadline.remaining(), ANSWER_LIMIT_MS));
      session = await InspectorSession.open(await this.opened);
      this.sessions.add(session);
      const ended = session.closed.promise.then((): never => {
        throw new Error('it ended meanwhile');
      });
      return await withTimeout(
        Promise.race([work(session, deadline), ended]),
        deadline.remaining(),
        () => new Error(NO_ANSWER),
      );
    } finally {
      if (session) this.sessions.delete(session);
      await this.leave(session, deadline);
    }
  }

  private async open(limitMs: number): Promise<string> {
    this.heardUrl = deferred();
    try {
      process.kill(this.pid, 'SIGUSR1');
      const url = await valueWithin(this.heardUrl.promise, limitMs, undefined);
      if (url === undefined) throw new Error(NO_ANSWER);
      return url;
    } finally {
      this.heardUrl = undefined;
    }
  }

  private async leave(session: InspectorSession | undefined, deadline: Deadline): Promise<void> {
    this.users--;
    if (this.users > 0) return session?.end();
    this.opened = undefined;
    if (!session) return;
    closeInspector(session);
    this.closing = deadline.part({ minMs: ANSWER_LIMIT_MS / 4 }).wait(session.closed.promise);
    await this.closing;
  }

  private async load() {
    return (await import('./inspector-session')).InspectorSession;
  }
}

function closeInspector(session: InspectorSession): void {
  void session.ask('Runtime.evaluate', { expression: `process.getBuiltinModule('inspector').close()` });
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
