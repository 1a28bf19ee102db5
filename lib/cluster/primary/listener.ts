import net from 'node:net';
import { setImmediate as afterPoll, setTimeout as wait } from 'node:timers/promises';
import type { ListenAddress } from '../../core/config';
import { DescriptorWatch } from '../../core/descriptor-watch';
import type { Events } from '../../core/events';
import { addressInUse, listenError } from '../../core/listen-address';
import { stopPhase } from '../../core/shutdown';
import type { Connection } from '../../internals/socket-handoff';
import { closeConnection } from '../../internals/socket-handoff';
import { type Deadline, type Deferred, deferred } from '../../support/async';

/** A worker, as whoever hands out connections sees it. */
export interface Taker {
  /** It serves, and was not asked to go. */
  readonly takes: boolean;
  /** By its last word, all its slots are in use. */
  readonly full: boolean;
  /** It was sent a connection that it has not confirmed yet. */
  readonly awaited: boolean;
  take(connection: Connection): void;
}

/** As Puma's `wait_for_less_busy_worker`: how long a connection waits for a worker with a free slot, ms. */
const LESS_BUSY_WAIT_MS = 5;
/** In a stop the socket is closed when nobody has come for this long, ms. */
const QUIET_GAP_MS = 50;

/**
 * The tree's listening socket, which the primary owns as Puma's does: it stays while workers come and go, and while
 * there is none callers wait. Each connection is sent to a worker, one at a time to each, so that a blocked one holds
 * up one caller and no more.
 */
export class Listener {
  private readonly server: net.Server;
  private readonly waiting: { readonly connection: Connection; readonly since: number }[] = [];
  private readonly lastTurns = new WeakMap<Taker, number>();
  private turns = 0;
  private accepted = 0;
  private acceptedAt = Number.NEGATIVE_INFINITY;
  /** Who is accepted waits until the socket is closed. */
  private holding = false;
  private retry: NodeJS.Timeout | undefined;
  private handedOut: Deferred | undefined;
  private closed = false;

  constructor(
    private readonly address: ListenAddress,
    private readonly takers: () => readonly Taker[],
    private readonly events: Events,
  ) {
    const descriptors = new DescriptorWatch(events);
    // Nothing is read here: what a caller sends waits in the kernel for the worker.
    const options = { pauseOnConnect: true, noDelay: true, allowHalfOpen: true };
    this.server = net.createServer(options, (socket) => {
      this.accepted++;
      this.acceptedAt = performance.now();
      // The one that took the last descriptor: those behind it are dropped, though there may be some again at the next
      // look.
      descriptors.check();
      socket.on('error', () => undefined);
      this.handOut(socket);
    });
  }

  /**
   * @returns the address in use, such as `http://127.0.0.1:3000`.
   * @throws UserError when the address cannot be had.
   */
  async listen(): Promise<string> {
    const { address, server } = this;
    const listening = deferred();
    const refuse = (error: NodeJS.ErrnoException) => listening.reject(listenError(error, address));
    server.once('error', refuse);
    if (address.kind === 'unix') server.listen(address.path, listening.resolve);
    else server.listen({ host: address.host, port: address.port }, listening.resolve);
    await listening.promise;
    server.off('error', refuse);
    server.on('error', (error) => this.events.emit('process.error', { error, during: 'accepting a connection' }));
    return addressInUse(server, address);
  }

  /** Sends it to a worker as soon as one takes it. */
  handOut(connection: Connection): void {
    this.waiting.push({ connection, since: performance.now() });
    this.goOn();
  }

  /** To be called when a worker has confirmed a connection, has become ready, or is gone. */
  goOn(): void {
    for (; !this.holding; ) {
      const [first] = this.waiting;
      const taker = first && this.nextTaker(first.since);
      if (!taker) break;
      this.waiting.shift();
      this.lastTurns.set(taker, ++this.turns);
      taker.take(first.connection);
    }
    if (this.closed && !this.takers().some(({ takes }) => takes)) this.giveUp();
    if (!this.handedOut || !this.isHandedOut()) return;
    this.handedOut.resolve();
    this.handedOut = undefined;
  }

  /**
   * Closes the socket in a moment in which nobody stands between the kernel and us, for whoever does is reset. Until
   * then those who come are held here: were they served, callers who come again after each answer would never all be
   * here, and one of them would arrive while the socket is closed. The workers are given all of them afterwards.
   * Resolves when everybody who was accepted is with a worker, or waits behind a blocked one: these are with another
   * when that is killed.
   */
  async close(deadline: Deadline): Promise<void> {
    this.holding = true;
    // After that, any turn of the event loop in which nobody came will do.
    const patience = stopPhase(deadline, 'quietGap');
    for (let before = -1; before !== this.accepted && !deadline.expired; ) {
      const gapMs = Math.min(QUIET_GAP_MS - (performance.now() - this.acceptedAt), patience.remaining());
      if (gapMs > 0) await wait(gapMs);
      before = this.accepted;
      // The second comes right behind a whole look for new connections, however late this process was woken. One look
      // may accept one only.
      await afterPoll();
      await afterPoll();
    }
    this.server.close();
    this.closed = true;
    this.holding = false;
    this.goOn();
    await this.settled(stopPhase(deadline, 'handOut'));
  }

  /** Resolves when nobody waits any more, and workers have confirmed what was sent to them. */
  async settled(deadline: Deadline): Promise<void> {
    if (this.isHandedOut()) return;
    this.handedOut ??= deferred();
    await deadline.wait(this.handedOut.promise);
  }

  private isHandedOut(): boolean {
    return this.waiting.length === 0 && !this.takers().some(({ awaited }) => awaited);
  }

  /** In turn, those with free slots first. */
  private nextTaker(since: number): Taker | undefined {
    const free = this.takers().filter(({ takes, awaited }) => takes && !awaited);
    const roomy = free.filter(({ full }) => !full);
    if (roomy.length > 0) return this.longestWithout(roomy);
    if (free.length === 0 || performance.now() - since >= LESS_BUSY_WAIT_MS) return this.longestWithout(free);
    this.retry ??= setTimeout(() => {
      this.retry = undefined;
      this.goOn();
    }, LESS_BUSY_WAIT_MS);
    return undefined;
  }

  private longestWithout(takers: readonly Taker[]): Taker | undefined {
    const turnOf = (taker: Taker) => this.lastTurns.get(taker) ?? 0;
    let first = takers[0];
    for (const taker of takers) if (first && turnOf(taker) < turnOf(first)) first = taker;
    return first;
  }

  /** The tree is stopping and no worker is left to serve them. */
  private giveUp(): void {
    for (const { connection } of this.waiting.splice(0)) closeConnection(connection);
  }
}
