import cluster from 'node:cluster';
import type { Credentials } from '../core/tls';
import { OutOfBandGc } from '../internals/gc';
import {
  arrivalOf,
  type Connection,
  type ConnectionHandle,
  closeConnection,
  noteArrival,
} from '../internals/socket-handoff';
import { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { PeriodicTask } from '../support/periodic-task';
import { type FromWorker, HEARTBEAT_INTERVAL_MS, type Incoming, type ToWorker } from './messages';
import { FORKED, type ParentChannel, tell } from './parent-channel';
import { PrimaryClient } from './primary-client';
import type { JobsHealth, WorkerStatus } from './status';

export type HandOff = (connection: ConnectionHandle, done: () => void) => void;

/** The server of a web worker, as `Worker` drives it. */
export interface DrainableServer {
  /** Closes each connection after its response; resolves when no request is left, at most after `atMostMs`. */
  enterLameDuck(atMostMs: number): Promise<void>;
  /**
   * Resolves when the last response is sent and everything is closed. Idle connections are passed to `handOff`.
   * @returns the number of requests that the deadline left unanswered.
   */
  drain(deadline: Deadline, handOff?: HandOff): Promise<number>;
  serveConnection(connection: Connection): void;
  /** From now on handshakes of TLS use these. */
  secure(credentials: Credentials): Promise<void>;
  /** From now on it serves so many requests at once. */
  setMaxThreads(count: number): void;
  /** True while all slots are in use. */
  readonly full: boolean;
  /** Called when `full` may have changed. */
  onSlots: () => void;
  status(): WorkerStatus;
  /** Makes this process the tree's reporter in Redis, or ends that. */
  setReporter(on: boolean): void;
  /** Reports in `/ready` whether jobs are being run. */
  setJobsHealth(health: JobsHealth): void;
  /** Called when `/ready` is answered with 200 for the first time. */
  onServed: () => void;
  /** Call when another worker of the tree has been ready: `/ready` then no longer waits for the first readiness. */
  treeServed(): void;
}

export interface Assignment {
  readonly slot: number;
  readonly phase: number;
}

/**
 * The worker's end of its connection to the primary. The primary decides: a signal to the worker alone only makes it
 * ask for a replacement, since platforms signal every process and throng relays signals. Without a primary it drains and
 * exits.
 */
export class Worker {
  readonly assigned = deferred<Assignment>();
  /** The whole tree, for the operator's pages. */
  readonly tree = new PrimaryClient((message) => this.tell(message));
  private server: DrainableServer | undefined;
  private assignment: Assignment | undefined;
  private credentials: Credentials | undefined;
  private leaving = false;
  private readonly collector = new OutOfBandGc();
  private aborted = 0;
  private reportDue = false;
  private reportedFull = false;
  private taken = 0;

  /**
   * @param orphanDrainMs time to finish requests in flight after the primary has died, ms.
   * @param parent default: the channel of this process.
   */
  constructor(
    private readonly orphanDrainMs: number,
    private readonly parent: ParentChannel = FORKED,
  ) {
    // Otherwise Node ends a worker the moment its primary dies, with requests in flight.
    if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
    parent.on('message', (given, connection) => {
      const message = given as Incoming<ToWorker>;
      if (message?.catamount) this.hear(message, connection as Connection | undefined);
    });
    parent.on('disconnect', () => void this.leave(Deadline.after(this.orphanDrainMs), false));
    for (const signal of parent === FORKED ? (['SIGTERM', 'SIGINT'] as const) : []) {
      process.on(signal, () => this.tell({ catamount: 'replace-me', reason: `it got ${signal}` }));
    }
    this.tell({ catamount: 'online' });
  }

  /**
   * From now on the primary may send traffic, and may ask this server to drain.
   * @param onError called when the status cannot be read. @param journalFile path of the worker's `RequestJournal`.
   */
  ready(server: DrainableServer, onError: (error: Error) => void, journalFile?: string): void {
    this.server = server;
    if (this.credentials) void server.secure(this.credentials);
    this.tell({ catamount: 'ready', journalFile });
    server.onSlots = () => this.reportSlots(server);
    server.onServed = () => this.tell({ catamount: 'tree-served' });
    new PeriodicTask({ everyMs: HEARTBEAT_INTERVAL_MS, work: async () => this.heartbeat(server), onError }).start();
  }

  /** Reports to the primary that the worker cannot start, then exits. */
  fail(message: string, exitCode: number, final: boolean): void {
    this.tell({ catamount: 'boot-failed', message, exitCode, final }, () => this.parent.exit(exitCode));
  }

  /** After an uncaught error: requests a successor, and returns at the deadline, with or without one. */
  async leaveAfterError(deadline: Deadline): Promise<void> {
    this.tell({ catamount: 'replace-me', reason: 'an error was not caught' });
    await deadline.wait(new Promise(() => undefined));
  }

  private heartbeat(server: DrainableServer): undefined {
    const status = server.status();
    // Like Puma's process title: requests in flight of the limit.
    if (this.assignment) this.parent.title = formatTitle(this.assignment, status);
    this.tell({ catamount: 'heartbeat', status });
    this.collector.tick(status.busyThreads, status.requestsCount);
  }

  /** Reports at most once per turn of the event loop, however often a slot changes hands. */
  private reportSlots(server: DrainableServer): void {
    if (this.reportDue || server.full === this.reportedFull) return;
    this.reportDue = true;
    setImmediate(() => {
      this.reportDue = false;
      if (server.full === this.reportedFull) return;
      this.reportedFull = server.full;
      this.tell({ catamount: 'full', full: server.full });
    });
  }

  private hear(message: ToWorker, connection: Connection | undefined): void {
    switch (message.catamount) {
      case 'assign':
        this.credentials ??= message.tls;
        this.assignment = { slot: message.slot, phase: message.phase };
        this.assigned.resolve(this.assignment);
        break;
      case 'lame-duck':
        void this.server?.enterLameDuck(message.atMostMs).then(() => this.tell({ catamount: 'idle' }));
        break;
      case 'stop':
        void this.leave(Deadline.after(message.remainingMs), message.handOff);
        break;
      case 'connection':
        this.taken++;
        this.tell({ catamount: 'taken' });
        if (connection) noteArrival(connection, message.arrival);
        if (connection && this.server) this.server.serveConnection(connection);
        else if (connection) closeConnection(connection);
        break;
      case 'count':
        this.tell({ catamount: 'count', taken: this.taken });
        break;
      case 'jobs':
        this.server?.setJobsHealth(message.jobs);
        break;
      case 'tls':
        this.credentials = message.tls;
        void this.server?.secure(message.tls);
        break;
      case 'max-threads':
        this.server?.setMaxThreads(message.count);
        break;
      case 'tree-served':
        this.server?.treeServed();
        break;
      case 'reply':
        this.tree.settle(message);
        break;
      case 'reporter':
        this.server?.setReporter(message.on);
        break;
      case 'exit':
        this.parent.exit(this.aborted > 0 ? 1 : 0);
    }
  }

  private async leave(deadline: Deadline, handOff: boolean): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    const pass: HandOff = (connection, done) => this.handOff(connection, done);
    this.aborted = (await this.server?.drain(deadline, handOff ? pass : undefined)) ?? 0;
    // With a primary, wait for its `exit`: only then has it received every connection handed off.
    if (!this.parent.connected) this.parent.exit(0);
    // The status counts the requests answered since the last heartbeat.
    this.tell({ catamount: 'drained', aborted: this.aborted, status: this.server?.status() ?? null });
  }

  private handOff(connection: ConnectionHandle, done: () => void): void {
    this.tell({ catamount: 'handoff', arrival: arrivalOf(connection) }, done, connection);
  }

  private tell(message: FromWorker, sent?: () => void, connection?: ConnectionHandle): void {
    tell(this.parent, message, sent, connection);
  }
}

function formatTitle({ slot, phase }: Assignment, { busyThreads, maxThreads }: WorkerStatus): string {
  return `catamount: web ${slot} [phase ${phase}] ${busyThreads}/${maxThreads}`;
}
