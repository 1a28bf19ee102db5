import cluster from 'node:cluster';
import { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { type FromWorker, isOurs, type ToWorker } from './messages';

/** What a web worker serves with, as its process drives it. */
export interface DrainableServer {
  /** Closes each connection after its response; resolves when requests have ceased, at most after `atMostMs`. */
  becomePolite(atMostMs: number): Promise<void>;
  /** Stops accepting, resolves when the last response is out and connections are closed. */
  drain(deadline: Deadline): Promise<void>;
}

export interface Assignment {
  readonly slot: number;
  readonly phase: number;
}

/**
 * The worker's side of its life in the cluster. The primary leads: signals that reach the worker alone only make it ask
 * to be replaced (platforms signal every process, and throng relays). If the primary vanishes, the worker drains and exits.
 */
export class Worker {
  readonly assigned = deferred<Assignment>();
  private server: DrainableServer | undefined;
  private leaving = false;

  /** @param orphanDrainMs how long a worker whose primary died may take to finish what is in flight. */
  constructor(private readonly orphanDrainMs: number) {
    // Otherwise Node ends a worker the moment its primary dies, with requests in flight.
    if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
    process.on('message', (message: unknown) => {
      if (isOurs<ToWorker>(message)) this.hear(message);
    });
    process.on('disconnect', () => void this.leave(Deadline.after(this.orphanDrainMs)));
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => this.tell({ catamount: 'leave', reason: `it got ${signal}` }));
    }
  }

  /** From now on the primary may send traffic, and may ask this server to drain. */
  ready(server: DrainableServer, address: string): void {
    this.server = server;
    this.tell({ catamount: 'ready', address });
  }

  /** The worker cannot start: tells the primary why and exits. */
  fail(message: string, exitCode: number, final: boolean): void {
    this.tell({ catamount: 'failed', message, exitCode, final }, () => process.exit(exitCode));
  }

  /** The worker no longer trusts itself: asks for a successor, and goes by the deadline with or without one. */
  async leaveAfterError(deadline: Deadline): Promise<void> {
    this.tell({ catamount: 'leave', reason: 'an error was not caught' });
    await deadline.wait(new Promise(() => undefined));
  }

  private hear(message: ToWorker): void {
    switch (message.catamount) {
      case 'assign':
        this.assigned.resolve({ slot: message.slot, phase: message.phase });
        break;
      case 'polite':
        void this.server?.becomePolite(message.atMostMs).then(() => this.tell({ catamount: 'calm' }));
        break;
      case 'drain':
        void this.leave(Deadline.after(message.remainingMs));
        break;
      case 'bye':
        process.exit(0);
    }
  }

  private async leave(deadline: Deadline): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    await this.server?.drain(deadline);
    // A handle may still be on its way to us: only the primary's `bye`, sent after it saw `closed`, makes leaving safe.
    if (process.connected) this.tell({ catamount: 'closed' });
    else process.exit(0);
  }

  private tell(message: FromWorker, sent: () => void = () => undefined): void {
    if (process.connected && process.send) process.send(message, undefined, undefined, sent);
    else sent();
  }
}
