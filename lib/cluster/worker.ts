import cluster from 'node:cluster';
import type { Socket } from 'node:net';
import { writeHeapSnapshot } from 'node:v8';
import { collectGarbage, OutOfBandGc } from '../internals/gc';
import type { Connection, ConnectionHandle } from '../internals/socket-handoff';
import { closeConnection } from '../internals/socket-handoff';
import { Deadline, deferred } from '../support/async';

import { type FromWorker, isOurs, PrimaryClient, type ToWorker } from './messages';
import type { WorkerStatus } from './status';

export type HandOff = (connection: ConnectionHandle, done: () => void) => void;

const HEARTBEAT_MS = 1000;

/** What a web worker serves with, as its process drives it. */
export interface DrainableServer {
  /** Closes each connection after its response; resolves when requests have ceased, at most after `atMostMs`. */
  enterLameDuck(atMostMs: number): Promise<void>;
  /**
   * Resolves when the last response is out and everything is closed. Idle connections are passed on.
   * @returns how many requests the deadline left unanswered.
   */
  drain(deadline: Deadline, handOff?: HandOff): Promise<number>;
  serveConnection(connection: Connection): void;
  /** Whether all slots are in use. */
  readonly full: boolean;
  /** Called when that may have changed. */
  onSlots: () => void;
  /** What the next heartbeat says. */
  status(): WorkerStatus;
  /** Whether this process keeps the tree's place in Redis. */
  setReporter(on: boolean): void;
  /** Whether jobs are being run, for readiness. */
  setJobsRunning(running: boolean): void;
}

export interface Assignment {
  readonly slot: number;
  readonly phase: number;
}

/**
 * The worker's side of its life in the cluster. The primary leads: signals that reach the worker alone only make it ask
 * to be replaced (platforms signal every process, and throng relays). If the primary vanishes, the worker drains and
 * exits.
 */
export class Worker {
  readonly assigned = deferred<Assignment>();
  /** Called after a log rotation. */
  onReopenLog: () => void = () => undefined;
  /** The whole tree, for the operator's pages. */
  readonly tree = new PrimaryClient((message) => this.tell(message));
  private server: DrainableServer | undefined;
  private assignment: Assignment | undefined;
  private leaving = false;
  private readonly collector = new OutOfBandGc();
  private cut = 0;
  private looking = false;
  private toldFull = false;
  private taken = 0;

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

  /**
   * From now on the primary may send traffic, and may ask this server to drain.
   * @param begunFile of a `RequestJournal`.
   */
  ready(server: DrainableServer, begunFile?: string): void {
    this.server = server;
    this.tell({ catamount: 'ready', begunFile });
    server.onSlots = () => this.lookAtSlots(server);
    this.beat();
    setInterval(() => this.beat(), HEARTBEAT_MS);
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

  private beat(): void {
    if (!this.server) return;
    const status = this.server.status();
    // As Puma shows it: in flight of the limit.
    if (this.assignment) process.title = titleOf(this.assignment, status);
    this.tell({ catamount: 'heartbeat', status });
    this.collector.tick(status.busyThreads, status.requestsCount);
  }

  /** Once in a turn of the event loop at most, however often a slot is given up and taken again. */
  private lookAtSlots(server: DrainableServer): void {
    if (this.looking || server.full === this.toldFull) return;
    this.looking = true;
    setImmediate(() => {
      this.looking = false;
      if (server.full === this.toldFull) return;
      this.toldFull = server.full;
      this.tell({ catamount: 'full', full: server.full });
    });
  }

  private hear(message: ToWorker, connection: Connection | undefined): void {
    switch (message.catamount) {
      case 'assign':
        this.assignment = { slot: message.slot, phase: message.phase };
        this.assigned.resolve(this.assignment);
        break;
      case 'polite':
        void this.server?.enterLameDuck(message.atMostMs).then(() => this.tell({ catamount: 'calm' }));
        break;
      case 'drain':
        void this.leave(Deadline.after(message.remainingMs), message.handOff);
        break;
      case 'connection':
        this.taken++;
        this.tell({ catamount: 'taken' });
        if (connection && this.server) this.server.serveConnection(connection);
        else if (connection) closeConnection(connection);
        break;
      case 'count':
        this.tell({ catamount: 'count', taken: this.taken });
        break;
      case 'jobs':
        this.server?.setJobsRunning(message.running);
        break;
      case 'answer':
        this.tree.hear(message);
        break;
      case 'reporter':
        this.server?.setReporter(message.on);
        break;
      case 'reopen-log':
        this.onReopenLog();
        break;
      case 'collect-garbage':
        collectGarbage();
        break;
      case 'heap-snapshot':
        this.tell({ catamount: 'heap-snapshot', file: writeHeapSnapshot(message.file) });
        break;
      case 'bye':
        process.exit(this.cut > 0 ? 1 : 0);
    }
  }

  private async leave(deadline: Deadline, handOff: boolean): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    const pass: HandOff = (connection, done) => this.handOff(connection, done);
    this.cut = (await this.server?.drain(deadline, handOff ? pass : undefined)) ?? 0;
    // What was answered since the last one counts, too.
    this.beat();
    // Only the primary's `bye` tells that it has seen all that was given back before.
    if (!process.connected) process.exit(0);
    this.tell({ catamount: 'closed', cut: this.cut });
  }

  private handOff(connection: ConnectionHandle, done: () => void): void {
    this.tell({ catamount: 'pass-on' }, done, connection);
  }

  private tell(message: FromWorker, sent: () => void = () => undefined, connection?: ConnectionHandle): void {
    // Node's types know sockets only, but it passes the bare handle as well.
    if (process.connected && process.send)
      process.send(message, connection as unknown as Socket | undefined, undefined, sent);
    else sent();
  }
}

function titleOf({ slot, phase }: Assignment, { busyThreads, maxThreads }: WorkerStatus): string {
  return `catamount: web ${slot} [phase ${phase}] ${busyThreads}/${maxThreads}`;
}
