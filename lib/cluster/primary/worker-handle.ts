import { setTimeout as wait } from 'node:timers/promises';
import type { Events } from '../../core/events';
import type { Credentials } from '../../core/tls';
import {
  arrivalOf,
  type Connection,
  type ConnectionHandle,
  closeConnection,
  noteArrival,
} from '../../internals/socket-handoff';
import { Deadline } from '../../support/deadline';
import { deferred } from '../../support/deferred';
import type { Child } from '../child-process';
import type { FromWorker, RequestMessage, ToWorker } from '../messages';
import { RequestJournalReader } from '../request-journal';
import type { Activity, WorkerStatus, WorkInFlight } from '../status';
import { ChildHandle, type HeartbeatLimits, type RelayBroadcast } from './child-handle';
import type { Taker } from './listener';

/** A healthy worker confirms a connection within milliseconds: after this time, ms, the connection may be lost. */
const LOST_AFTER_MS = 400;

/** What cluster forks; or a part of this process. */
export interface WorkerProcess {
  readonly process: Child;
  isConnected(): boolean;
  on(event: 'error', listener: () => void): unknown;
}

export interface PoolCallbacks {
  /** Sends a connection that this worker has handed off, or never received, to another worker. */
  redispatch(connection: Connection): void;
  /** The worker may be able to take a connection again. */
  free(): void;
  answer(asked: RequestMessage): Promise<ToWorker>;
  /** Resolves when the worker is to load the app. */
  mayLoad(handle: WorkerHandle): Promise<void>;
  /** The worker has answered `/ready` with 200 for the first time. */
  treeServed(): void;
  readonly relay: RelayBroadcast;
  /** undefined: no client speaks TLS. */
  readonly credentials?: Credentials | undefined;
  reported(status: WorkerStatus): void;
  /** Replaces the worker: it was signalled alone, or had an uncaught error. */
  requestReplacement(handle: WorkerHandle): void;
}

export class WorkerHandle extends ChildHandle<FromWorker, ToWorker> implements Taker {
  readonly idle = deferred();
  /** True when all its slots were in use at its last report. */
  full = false;
  /** Status of the last heartbeat; undefined before the first. */
  status: WorkerStatus | undefined;
  /** The connection sent last, until the worker confirms it: this copy keeps it alive. */
  private unconfirmed: Connection | undefined;
  private sentAt = 0;
  /** Number of connections sent that were not lost on the way. */
  private sent = 0;
  /** `sent` when `count` was sent. Only one `count` is pending at a time, so its reply concerns `unconfirmed`. */
  private asked: number | undefined;
  private begun: RequestJournalReader | undefined;

  constructor(
    private readonly worker: WorkerProcess,
    readonly slot: number,
    readonly phase: number,
    private readonly pool: PoolCallbacks,
    events: Events,
  ) {
    super(worker.process, `worker ${slot}`, `web.${slot}`, events);
    // cluster emits the child's error on the worker as well; without a listener it would end the primary.
    worker.on('error', () => undefined);
  }

  get state(): 'booting' | 'ready' | 'draining' | 'exited' {
    return this.lifecycle;
  }

  get takes(): boolean {
    return this.lifecycle === 'ready' && this.worker.isConnected();
  }

  get awaited(): boolean {
    return this.unconfirmed !== undefined;
  }

  /** The request begun last, finished or not, read from the worker's journal: a blocked worker cannot be asked. */
  get lastRequest(): WorkInFlight | undefined {
    return this.begun?.read();
  }

  /** Lets it close connections after each response; resolves when no request is left, at most after `atMostMs`. */
  async enterLameDuck(atMostMs: number): Promise<void> {
    if (this.lifecycle !== 'ready') return;
    this.send({ catamount: 'lame-duck', atMostMs });
    await this.idle.promise;
  }

  take(connection: Connection): void {
    this.unconfirmed = connection;
    this.sentAt = performance.now();
    this.sent++;
    const message: ToWorker = { catamount: 'connection', arrival: arrivalOf(connection) };
    // A failure shows in the worker's exit.
    this.worker.process.send(message, connection, { keepOpen: true }, () => undefined);
  }

  override watch(limits: HeartbeatLimits): void {
    this.lookForLost();
    super.watch(limits);
  }

  /**
   * Node loses a connection silently when the worker has no file descriptor left for it. Messages keep their order, so
   * a count that was requested after the connection was sent shows whether it arrived.
   */
  private lookForLost(): void {
    if (!this.unconfirmed || this.asked !== undefined || performance.now() - this.sentAt < LOST_AFTER_MS) return;
    this.asked = this.sent;
    this.send({ catamount: 'count' });
  }

  setReporter(on: boolean): void {
    this.send({ catamount: 'reporter', on });
  }

  private checkIn(status: WorkerStatus): void {
    this.lastCheckin = new Date();
    this.status = status;
    this.pool.reported(status);
  }

  protected get inFlight(): readonly WorkInFlight[] {
    return this.status?.inFlight ?? [];
  }

  protected reportUnresponsive(heartbeatAgeMs: number): Activity | null {
    const { slot, pid, lastRequest, inFlight } = this;
    this.events.emit('worker.unresponsive', { slot, pid, heartbeatAgeMs, inFlight, lastRequest: lastRequest ?? null });
    return inFlight[0] ?? lastRequest ?? null;
  }

  protected override async left(): Promise<void> {
    this.idle.resolve();
    this.begun?.close();
    this.begun = undefined;
    await this.channelEnd();
    this.takeBack();
  }

  /**
   * Resolves when the worker's last messages have been read. When several workers die at once, an exit may be noticed before
   * the end of that channel. Node emits no `disconnect` for a child that has not acknowledged a connection, so the state is
   * polled. The limit is for a channel that a process of the app has inherited.
   */
  private async channelEnd(): Promise<void> {
    const deadline = Deadline.after(LOST_AFTER_MS);
    while (this.worker.isConnected() && !deadline.expired) await wait(1);
  }

  private confirm(): void {
    if (this.unconfirmed && !this.isInProcess) closeConnection(this.unconfirmed);
    this.unconfirmed = undefined;
    this.pool.free();
  }

  /** The worker has not received it: no byte of it was read, so another worker can serve it. */
  private takeBack(): void {
    const { unconfirmed } = this;
    this.unconfirmed = undefined;
    if (unconfirmed) this.pool.redispatch(unconfirmed);
    this.pool.free();
  }

  private hearCount(taken: number): void {
    const { asked } = this;
    this.asked = undefined;
    if (asked === undefined || taken >= asked) return;
    this.sent = taken;
    this.takeBack();
  }

  protected receive(message: FromWorker, connection: unknown): void {
    switch (message.catamount) {
      case 'online':
        this.sendStop();
        void this.pool.mayLoad(this).then(() => {
          const { slot, phase, pool } = this;
          this.send({ catamount: 'assign', slot, phase, tls: pool.credentials });
        });
        break;
      case 'ready':
        this.becomeReady();
        if (message.journalFile !== undefined) this.begun ??= RequestJournalReader.take(message.journalFile);
        this.ready.resolve();
        break;
      case 'heartbeat':
        this.checkIn(message.status);
        break;
      case 'tree-served':
        this.pool.treeServed();
        break;
      case 'idle':
        this.idle.resolve();
        break;
      case 'drained':
        if (message.status) this.checkIn(message.status);
        // IPC keeps the order: every connection that it handed off has arrived by now.
        this.send({ catamount: 'exit' });
        break;
      case 'replace-me':
        this.pool.requestReplacement(this);
        break;
      case 'request':
        void this.pool.answer(message).then((answer) => this.send(answer));
        break;
      case 'taken':
        this.confirm();
        break;
      case 'count':
        this.hearCount(message.taken);
        break;
      case 'full':
        this.full = message.full;
        this.pool.free();
        break;
      case 'handoff':
        noteArrival(connection as ConnectionHandle, message.arrival);
        this.pool.redispatch(connection as ConnectionHandle);
        break;
      case 'subscribe':
      case 'broadcast':
        this.hearSubscriber(message, this.pool.relay);
        break;
      case 'boot-failed':
        this.failure = message;
        break;
    }
  }
}
