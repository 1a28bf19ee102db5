import type { Worker as ClusterWorker } from 'node:cluster';
import type { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { type BootFailure, type FromWorker, isOurs, type ToWorker } from './messages';

/** booting → ready → draining → exited; a worker may exit from any state. */
export type WorkerState = 'booting' | 'ready' | 'draining' | 'exited';

export interface WorkerExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A web worker as the primary knows it. Judged by its `exit`, never by `disconnect`, which a killed worker may not emit. */
export class WorkerHandle {
  readonly forkedAt = performance.now();
  readonly ready = deferred<string>();
  readonly exited = deferred<WorkerExit>();
  readonly calm = deferred();
  /** Why it could not start, by its own words. */
  failure: BootFailure | undefined;
  private current: WorkerState = 'booting';

  constructor(
    private readonly worker: ClusterWorker,
    readonly slot: number,
    readonly phase: number,
    private readonly onLeave: (handle: WorkerHandle, reason: string) => void,
  ) {
    worker.on('message', (message: unknown) => this.hear(message));
    worker.once('exit', (code: number | null, signal: string | null) => {
      this.current = 'exited';
      this.calm.resolve();
      this.exited.resolve({ code, signal });
    });
    // An `error` is a message that could not be delivered: the exit that follows says the rest.
    worker.on('error', () => undefined);
    this.send({ catamount: 'assign', slot, phase });
  }

  get state(): WorkerState {
    return this.current;
  }

  get pid(): number {
    return this.worker.process.pid ?? 0;
  }

  get uptimeMs(): number {
    return performance.now() - this.forkedAt;
  }

  /** Asks for short connections; resolves when requests have ceased or `atMostMs` is over. */
  async becomePolite(atMostMs: number): Promise<void> {
    if (this.current !== 'ready') return;
    this.send({ catamount: 'polite', atMostMs });
    await this.calm.promise;
  }

  /** Lets it finish what is in flight; resolves at its exit. The caller decides on killing. */
  async drain(deadline: Deadline): Promise<void> {
    if (this.current === 'exited') return;
    if (this.current !== 'draining') {
      this.current = 'draining';
      this.send({ catamount: 'drain', remainingMs: deadline.remaining() });
    }
    await this.exited.promise;
  }

  kill(): void {
    this.worker.process.kill('SIGKILL');
  }

  private send(message: ToWorker): void {
    if (this.worker.isConnected()) this.worker.send(message);
  }

  private hear(message: unknown): void {
    if (!isOurs<FromWorker>(message)) return;
    switch (message.catamount) {
      case 'ready':
        if (this.current === 'booting') this.current = 'ready';
        this.ready.resolve(message.address);
        break;
      case 'calm':
        this.calm.resolve();
        break;
      case 'closed':
        // IPC keeps order: every connection sent to this worker before has been taken or refused by now.
        this.send({ catamount: 'bye' });
        break;
      case 'leave':
        this.onLeave(this, message.reason);
        break;
      case 'failed':
        this.failure = message;
        break;
    }
  }
}
