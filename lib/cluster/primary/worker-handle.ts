import type { Worker as ClusterWorker } from 'node:cluster';
import type { Socket } from 'node:net';
import type { Events } from '../../core/events';
import type { Connection, ConnectionHandle } from '../../internals/socket-handoff';
import { closeConnection } from '../../internals/socket-handoff';
import { type Deadline, type Deferred, deferred } from '../../support/async';
import { reportOutput } from '../child-process';
import { type AskMessage, type BootFailure, type FromWorker, isOurs, type ToWorker } from '../messages';
import { RequestJournalReader } from '../request-journal';
import type { RestartReason, Termination, WorkerStatus, WorkInFlight } from '../status';
import { endingOf, HEALTHY_MS } from './child-handle';
import type { Taker } from './listener';

/** A worker that is well says within milliseconds that it has a connection, ms. */
const LOST_AFTER_MS = 400;

/** booting → ready → draining → exited; a worker may exit from any state. */
export type WorkerState = 'booting' | 'ready' | 'draining' | 'exited';

export interface WorkerExit {
  readonly code: number | null;
  readonly signal: string | null;
}

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

/** A web worker as the primary knows it. Judged by its `exit`, never by `disconnect`, which a killed worker may not emit. */
export class WorkerHandle implements Taker {
  readonly forkedAt = performance.now();
  readonly ready = deferred();
  readonly exited = deferred<WorkerExit>();
  readonly calm = deferred();
  /** Why it could not start, by its own words. */
  failure: BootFailure | undefined;
  /** Killed because it did not boot, or did not answer, in time. */
  timedOut = false;
  /** Of one that was killed for it. */
  silence: { readonly heartbeatAgeMs: number; readonly doing: string | null } | undefined;
  /** When it is cut off, once it drains. */
  drainUntil: Date | undefined;
  /** By its last word, all its slots are in use. */
  full = false;
  /** Whether it was asked to go. */
  wasDraining = false;
  /** The last heartbeat's; undefined before the first. */
  status: WorkerStatus | undefined;
  readonly startedAt = new Date();
  lastCheckin: Date | undefined;
  private heardAt = performance.now();
  private readyAt: number | undefined;
  private current: WorkerState = 'booting';
  /** The connection that was sent last, as long as nothing says that it has arrived: this copy keeps it alive. */
  private unconfirmed: Connection | undefined;
  private sentAt = 0;
  /** How many connections it was sent that were not lost on the way. */
  private sent = 0;
  /** The same when it was asked how many have come. One question at a time: its answer is of the connection at hand. */
  private asked: number | undefined;
  /** What it last wrote to standard error. */
  private readonly recentStderr: () => readonly string[];
  private snapshot: Deferred<string> | undefined;
  private begun: RequestJournalReader | undefined;

  constructor(
    private readonly worker: ClusterWorker,
    readonly slot: number,
    readonly phase: number,
    private readonly pool: PoolCallbacks,
    events: Events,
  ) {
    this.recentStderr = reportOutput(worker.process, `web.${slot}`, events);
    worker.on('message', (message: unknown, connection: unknown) => this.hear(message, connection as ConnectionHandle));
    worker.once('exit', (code: number | null, signal: string | null) => {
      this.current = 'exited';
      this.calm.resolve();
      this.begun?.close();
      this.begun = undefined;
      this.exited.resolve({ code, signal });
      // What it said last may still lie in the channel.
      if (!worker.isConnected()) this.takeBack();
      else worker.once('disconnect', () => this.takeBack());
    });
    // An `error` is a message that could not be delivered: the exit that follows says the rest.
    worker.on('error', () => undefined);
  }

  get state(): WorkerState {
    return this.current;
  }

  get pid(): number {
    return this.worker.process.pid ?? 0;
  }

  /** Milliseconds since it was last heard of. */
  get heartbeatAgeMs(): number {
    return performance.now() - this.heardAt;
  }

  /** It serves, and is heard of. */
  get isHealthy(): boolean {
    return this.current === 'ready' && this.heartbeatAgeMs < HEALTHY_MS;
  }

  get uptimeMs(): number {
    return performance.now() - this.forkedAt;
  }

  get takes(): boolean {
    return this.current === 'ready' && this.worker.isConnected();
  }

  get awaited(): boolean {
    return this.unconfirmed !== undefined;
  }

  /** Whether it ever served. */
  get wasReady(): boolean {
    return this.readyAt !== undefined;
  }

  /** Since it was ready; 0 if it never was. */
  get servedMs(): number {
    return this.readyAt === undefined ? 0 : performance.now() - this.readyAt;
  }

  /** The request that it began last, finished or not: read where it wrote it, without asking. */
  get lastRequest(): WorkInFlight | undefined {
    return this.begun?.read();
  }

  get deathReason(): RestartReason {
    if (this.timedOut) return 'timeout';
    return this.wasReady ? 'crash' : 'boot';
  }

  death(code: number | null, signal: string | null): Termination {
    const { heartbeatAgeMs = null, doing = null } = this.silence ?? {};
    const { deathReason: reason, said: words } = this;
    return { at: new Date().toISOString(), reason, words, code, signal, heartbeatAgeMs, doing };
  }

  /** Why it ended, for a person: its own words where it left some. */
  exitMessage(code: number | null, signal: string | null): string {
    if (this.timedOut) return 'it was not ready in time';
    return this.said ?? endingOf({ code, signal });
  }

  private get said(): string | null {
    return this.failure?.message ?? (this.recentStderr().join(' / ') || null);
  }

  /** Asks for short connections; resolves when requests have ceased or `atMostMs` is over. */
  async enterLameDuck(atMostMs: number): Promise<void> {
    if (this.current !== 'ready') return;
    this.send({ catamount: 'polite', atMostMs });
    await this.calm.promise;
  }

  /** Lets it finish what is in flight; resolves at its exit. The caller decides on killing. */
  async drain(deadline: Deadline, handOff: boolean): Promise<void> {
    if (this.current === 'exited') return;
    if (this.current !== 'draining') {
      this.current = 'draining';
      this.wasDraining = true;
      this.drainUntil = new Date(Date.now() + deadline.remaining());
      this.send({ catamount: 'drain', remainingMs: deadline.remaining(), handOff });
    }
    await this.exited.promise;
  }

  take(connection: Connection): void {
    this.unconfirmed = connection;
    this.sentAt = performance.now();
    this.sent++;
    const message: ToWorker = { catamount: 'connection' };
    // Node's types know sockets only, but it passes the bare handle as well. A failure shows by the worker's end.
    this.worker.process.send?.(message, connection as Socket, { keepOpen: true }, () => undefined);
  }

  /**
   * A connection is lost, without a word from Node, when the worker has no file descriptor left for it. To be called now
   * and then: asks behind one that was sent a while ago, since messages keep their order.
   */
  lookForLost(): void {
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

  kill(): void {
    this.worker.process.kill('SIGKILL');
  }

  private send(message: ToWorker): void {
    if (this.worker.isConnected()) this.worker.send(message);
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

  private hear(message: unknown, connection: ConnectionHandle): void {
    if (!isOurs<FromWorker>(message)) return;
    this.heardAt = performance.now();
    switch (message.catamount) {
      case 'hello':
        this.send({ catamount: 'assign', slot: this.slot, phase: this.phase });
        break;
      case 'ready':
        if (this.current === 'booting') this.current = 'ready';
        this.readyAt ??= performance.now();
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
        this.pool.handOff(connection);
        break;
      case 'failed':
        this.failure = message;
        break;
    }
  }
}
