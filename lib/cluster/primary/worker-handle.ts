import type { Worker as ClusterWorker } from 'node:cluster';
import type { Socket } from 'node:net';
import type { Events } from '../../core/events';
import { type StopOutcome, stopPhase } from '../../core/shutdown';
import type { Connection, ConnectionHandle } from '../../internals/socket-handoff';
import { closeConnection } from '../../internals/socket-handoff';
import { type Deadline, type Deferred, deferred } from '../../support/async';
import type { AskMessage, FromWorker, ToWorker } from '../messages';
import { RequestJournalReader } from '../request-journal';
import type { WorkerStatus, WorkInFlight } from '../status';
import { ChildHandle, type HeartbeatLimits } from './child-handle';
import type { Taker } from './listener';

/** A worker that is well says within milliseconds that it has a connection, ms. */
const LOST_AFTER_MS = 400;

export type WorkerState = WorkerHandle['state'];

/** What a worker asks of the others, through the primary. */
export interface PoolCallbacks {
  /** Finds another worker for the connection. */
  handOff(connection: Connection): void;
  /** The worker may be given a connection again. */
  free(): void;
  /** Does what the worker asks of the whole tree. */
  answer(asked: AskMessage): Promise<ToWorker>;
  /** The worker has told of itself. */
  reported(status: WorkerStatus): void;
  /** The worker wants to be replaced: it was signalled alone, or had an error that nobody caught. */
  requestReplacement(handle: WorkerHandle): void;
}

/** A web worker, as the primary knows it. */
export class WorkerHandle extends ChildHandle<FromWorker, ToWorker> implements Taker {
  readonly calm = deferred();
  /** By its last word, all its slots are in use. */
  full = false;
  /** The last heartbeat's; undefined before the first. */
  status: WorkerStatus | undefined;
  /** The connection that was sent last, as long as nothing says that it has arrived: this copy keeps it alive. */
  private unconfirmed: Connection | undefined;
  private sentAt = 0;
  /** How many connections it was sent that were not lost on the way. */
  private sent = 0;
  /** The same when it was asked how many have come. One question at a time: its answer is of the connection at hand. */
  private asked: number | undefined;
  private snapshot: Deferred<string> | undefined;
  private begun: RequestJournalReader | undefined;

  /** Whether another worker can take over its idle connections when it goes. */
  private handsOff = true;

  constructor(
    private readonly worker: ClusterWorker,
    readonly slot: number,
    readonly phase: number,
    private readonly pool: PoolCallbacks,
    events: Events,
  ) {
    super(worker.process, `worker ${slot}`, `web.${slot}`, events);
    // cluster tells it again; unheard, it would end the primary.
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

  /** The request that it began last, finished or not: read where it wrote it, without asking. */
  get lastRequest(): WorkInFlight | undefined {
    return this.begun?.read();
  }

  /** Asks for short connections; resolves when requests have ceased or `atMostMs` is over. */
  async enterLameDuck(atMostMs: number): Promise<void> {
    if (this.lifecycle !== 'ready') return;
    this.send({ catamount: 'polite', atMostMs });
    await this.calm.promise;
  }

  /** @param handOff whether another worker can take over its idle connections: it needs time for that. */
  drain(deadline: Deadline, handOff: boolean): Promise<StopOutcome> {
    this.handsOff = handOff;
    return this.stop(deadline, handOff ? stopPhase(deadline, 'handOff') : deadline);
  }

  take(connection: Connection): void {
    this.unconfirmed = connection;
    this.sentAt = performance.now();
    this.sent++;
    const message: ToWorker = { catamount: 'connection' };
    // Node's types know sockets only, but it passes the bare handle as well. A failure shows by the worker's end.
    this.worker.process.send?.(message, connection as Socket, { keepOpen: true }, () => undefined);
  }

  override watch(limits: HeartbeatLimits): void {
    this.lookForLost();
    super.watch(limits);
  }

  /**
   * A connection is lost, without a word from Node, when the worker has no file descriptor left for it. This asks
   * behind one that was sent a while ago, since messages keep their order.
   */
  private lookForLost(): void {
    if (!this.unconfirmed || this.asked !== undefined || performance.now() - this.sentAt < LOST_AFTER_MS) return;
    this.asked = this.sent;
    this.send({ catamount: 'count' });
  }

  setReporter(on: boolean): void {
    this.send({ catamount: 'reporter', on });
  }

  setJobsRunning(running: boolean): void {
    this.send({ catamount: 'jobs', running });
  }

  reopenLog(): void {
    this.send({ catamount: 'reopen-log' });
  }

  collectGarbage(): void {
    this.send({ catamount: 'collect-garbage' });
  }

  /** @returns the file, once it is written. */
  async heapSnapshot(file: string): Promise<string> {
    this.snapshot = deferred();
    this.send({ catamount: 'heap-snapshot', file });
    return this.snapshot.promise;
  }

  protected askToStop(remainingMs: number): void {
    this.send({ catamount: 'drain', remainingMs, handOff: this.handsOff });
  }

  protected reportUnresponsive(heartbeatAgeMs: number): string | null {
    const { slot, pid, lastRequest } = this;
    const inFlight = this.status?.inFlight ?? [];
    this.events.emit('worker.unresponsive', { slot, pid, heartbeatAgeMs, inFlight, lastRequest: lastRequest ?? null });
    return (inFlight[0] ?? lastRequest)?.what ?? null;
  }

  protected left(): void {
    this.calm.resolve();
    this.begun?.close();
    this.begun = undefined;
    // What it said last may still lie in the channel.
    if (!this.worker.isConnected()) this.takeBack();
    else this.worker.once('disconnect', () => this.takeBack());
  }

  private confirm(): void {
    if (this.unconfirmed) closeConnection(this.unconfirmed);
    this.unconfirmed = undefined;
    this.pool.free();
  }

  /** It has not taken it, and will not: nobody has read a byte of it, so another worker can serve it. */
  private takeBack(): void {
    const { unconfirmed } = this;
    this.unconfirmed = undefined;
    if (unconfirmed) this.pool.handOff(unconfirmed);
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
      case 'hello':
        this.send({ catamount: 'assign', slot: this.slot, phase: this.phase });
        break;
      case 'ready':
        this.becomeReady();
        if (message.begunFile !== undefined) this.begun ??= RequestJournalReader.take(message.begunFile);
        this.ready.resolve();
        break;
      case 'heartbeat':
        this.lastCheckin = new Date();
        this.status = message.status;
        this.pool.reported(message.status);
        break;
      case 'heap-snapshot':
        this.snapshot?.resolve(message.file);
        break;
      case 'calm':
        this.calm.resolve();
        break;
      case 'closed':
        // IPC keeps order: every connection that it gave back is here by now.
        this.send({ catamount: 'bye' });
        break;
      case 'leave':
        this.pool.requestReplacement(this);
        break;
      case 'ask':
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
      case 'pass-on':
        this.pool.handOff(connection as ConnectionHandle);
        break;
      case 'failed':
        this.failure = message;
        break;
    }
  }
}
