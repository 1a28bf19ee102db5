import cluster from 'node:cluster';
import type { Socket } from 'node:net';
import { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { type FromWorker, isOurs, type ToWorker } from './messages';

/** A TCP connection on its way between processes. */
export interface Connection {
  close(): void;
}

export type PassOn = (connection: Connection, done: () => void) => void;

/** What a web worker serves with, as its process drives it. */
export interface DrainableServer {
  /** Closes each connection after its response; resolves when requests have ceased, at most after `atMostMs`. */
  becomePolite(atMostMs: number): Promise<void>;
  /** Stops accepting, resolves when the last response is out and everything is closed. Idle connections are passed on. */
  drain(deadline: Deadline, passOn?: PassOn): Promise<void>;
  /** @returns false when it can take no connection any more. */
  adopt(connection: Connection): boolean;
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
    process.on('message', (message: unknown, connection: unknown) => {
      if (isOurs<ToWorker>(message)) this.hear(message, connection as Connection | undefined);
    });
    process.on('disconnect', () => void this.leave(Deadline.after(this.orphanDrainMs), false));
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => this.tell({ catamount: 'leave', reason: `it got ${signal}` }));
    }
    this.tell({ catamount: 'hello' });
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

  private hear(message: ToWorker, connection: Connection | undefined): void {
    switch (message.catamount) {
      case 'assign':
        this.assigned.resolve({ slot: message.slot, phase: message.phase });
        break;
      case 'polite':
        void this.server?.becomePolite(message.atMostMs).then(() => this.tell({ catamount: 'calm' }));
        break;
      case 'drain':
        void this.leave(Deadline.after(message.remainingMs), message.passOn);
        break;
      case 'adopt':
        // When we are leaving too, it goes back to be given to another.
        if (connection && !this.server?.adopt(connection)) this.passOn(connection, () => connection.close());
        break;
      case 'bye':
        process.exit(0);
    }
  }

  private async leave(deadline: Deadline, passOn: boolean): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    const pass: PassOn = (connection, done) => this.passOn(connection, done);
    await this.server?.drain(deadline, passOn ? pass : undefined);
    // A handle may still be on its way to us: only the primary's `bye`, sent after it saw `closed`, makes leaving safe.
    if (process.connected) this.tell({ catamount: 'closed' });
    else process.exit(0);
  }

  private passOn(connection: Connection, done: () => void): void {
    this.tell({ catamount: 'adopt' }, done, connection);
  }

  private tell(message: FromWorker, sent: () => void = () => undefined, connection?: Connection): void {
    // Node's types know sockets only, but it passes the bare handle as well.
    if (process.connected && process.send)
      process.send(message, connection as unknown as Socket | undefined, undefined, sent);
    else sent();
  }
}
