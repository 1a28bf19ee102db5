import net from 'node:net';
import { setImmediate as afterPoll, setTimeout as wait } from 'node:timers/promises';
import type { InheritedSocket, ListenAddress, ListenOptions } from '../../core/config';
import { DescriptorWatch } from '../../core/descriptor-watch';
import type { Events } from '../../core/events';
import { addressInUse, listenError, listenOnFile, optionsFor, removerOf } from '../../core/listen-address';
import { STOP_PHASES } from '../../core/shutdown';
import type { Connection } from '../../internals/socket-handoff';
import { closeConnection, type ListeningHandle, listeningHandle, noteArrival } from '../../internals/socket-handoff';
import type { Deadline } from '../../support/deadline';
import { type Deferred, deferred } from '../../support/deferred';

/** A worker from the listener's point of view. */
export interface Taker {
  /** True while it serves and was not asked to stop. */
  readonly takes: boolean;
  /** True when all its slots were in use at its last report. */
  readonly full: boolean;
  /** True while it has not confirmed the last connection it was sent. */
  readonly awaited: boolean;
  take(connection: Connection): void;
}

/** A socket on which this process listens, by whose handle another process can listen, too. */
export interface ListeningSocket extends Omit<InheritedSocket, 'kind' | 'fd'> {
  readonly handle: ListeningHandle;
}

/** Wait of a connection for a worker with a free slot, ms, like Puma's `wait_for_less_busy_worker`. */
const LESS_BUSY_WAIT_MS = 5;
/** A stop closes the socket once no connection has arrived for this long, ms. */
const QUIET_GAP_MS = 50;
/** A turn of the event loop that takes longer, ms, leaves time for a connection after the turn's poll. */
const SHORT_TURN_MS = 1;

/**
 * The tree's listening sockets, owned by the primary as in Puma: they outlive workers, and while there is none, clients
 * wait. Each worker is sent one connection at a time and confirms it, so that a blocked worker holds up one client
 * only.
 */
export class Listener {
  private readonly servers: readonly net.Server[];
  /** Remove the files of the sockets. */
  private readonly removers: (() => void)[] = [];
  private readonly waiting: { readonly connection: Connection; readonly since: number }[] = [];
  private readonly lastTurns = new WeakMap<Taker, number>();
  private turns = 0;
  private accepted = 0;
  private acceptedAt = Number.NEGATIVE_INFINITY;
  /** True while accepted connections wait for the socket to be closed. */
  private holding = false;
  private retry: NodeJS.Timeout | undefined;
  private dispatched: Deferred | undefined;
  private closed = false;
  /** Takes the connections that are left when the socket is closed: those of the next primary. */
  private successor: ((connection: Connection) => void) | undefined;
  private readonly addresses: (ListenAddress | InheritedSocket)[];

  /** @param listen the addresses of the settings, whose options sockets from outside have. */
  constructor(
    addresses: readonly (ListenAddress | InheritedSocket)[],
    private readonly takers: () => readonly Taker[],
    private readonly events: Events,
    private readonly settings: readonly ListenAddress[] = [],
  ) {
    this.addresses = [...addresses];
    const descriptors = new DescriptorWatch(events);
    // Nothing is read here: the client's bytes wait in the kernel for the worker.
    const options = { pauseOnConnect: true, noDelay: true, allowHalfOpen: true };
    const accept = (socket: net.Socket, { tls, proxyProtocol }: ListenOptions) => {
      this.accepted++;
      this.acceptedAt = performance.now();
      // This connection may have taken the last descriptor. libuv silently drops the connections after it, and a later
      // check may find some free again.
      descriptors.check();
      socket.on('error', () => undefined);
      if (tls || proxyProtocol) noteArrival(socket, { tls: tls === true, proxyProtocol: proxyProtocol === true });
      this.dispatch(socket);
    };
    this.servers = addresses.map((_, i) =>
      net.createServer(options, (socket) => accept(socket, this.addresses[i] ?? {})),
    );
  }

  /** The sockets, for the next primary; none unless it listens. */
  get sockets(): ListeningSocket[] {
    return this.servers.flatMap((server, i) => {
      const [handle, address] = [listeningHandle(server), this.addresses[i]];
      if (!handle || !address) return [];
      const { tls = false, proxyProtocol = false } = address;
      const path = address.kind === 'tcp' ? null : address.path;
      return { handle, name: addressInUse(server, address), path, tls, proxyProtocol };
    });
  }

  /**
   * @returns the first address in use, such as `http://127.0.0.1:3000`.
   * @throws UserError when an address is unavailable.
   */
  async listen(): Promise<string> {
    const addresses = await Promise.all(this.servers.map((server, i) => this.listenAt(server, i)));
    return addresses[0] ?? '';
  }

  private async listenAt(server: net.Server, index: number): Promise<string> {
    const address = this.addresses[index];
    if (!address) return '';
    const listening = deferred();
    const refuse = (error: NodeJS.ErrnoException) => listening.reject(listenError(error, address));
    server.once('error', refuse);
    if (address.kind === 'unix') this.removers.push(listenOnFile(server, address, { onListening: listening.resolve }));
    else if (address.kind === 'inherited') {
      if (address.path !== null) this.removers.push(removerOf(address.path));
      server.listen({ fd: address.fd }, listening.resolve);
    } else {
      const { host, port, backlog } = address;
      server.listen({ host, port, ...(backlog && { backlog }) }, listening.resolve);
    }
    await listening.promise;
    server.off('error', refuse);
    server.on('error', (error) => this.events.emit('process.error', { error, during: 'accepting a connection' }));
    const isNew = address.kind === 'inherited' && address.tls === undefined;
    const settled = isNew ? { ...address, ...optionsFor(server.address(), this.settings) } : address;
    this.addresses[index] = settled;
    return addressInUse(server, settled);
  }

  /** Sends the connection to a worker as soon as one can take it. */
  dispatch(connection: Connection): void {
    this.waiting.push({ connection, since: performance.now() });
    this.goOn();
  }

  /**
   * Dispatches the waiting connections. Call when a worker has confirmed a connection, has become ready, has a free slot,
   * or has exited.
   */
  goOn(): void {
    for (; this.successor && !this.holding; ) {
      const first = this.waiting.shift();
      if (!first) break;
      this.successor(first.connection);
    }
    for (; !this.holding; ) {
      const [first] = this.waiting;
      const taker = first && this.nextTaker(first.since);
      if (!taker) break;
      this.waiting.shift();
      this.lastTurns.set(taker, ++this.turns);
      taker.take(first.connection);
    }
    if (this.closed && !this.takers().some(({ takes }) => takes)) this.giveUp();
    if (!this.dispatched || !this.isDispatched()) return;
    this.dispatched.resolve();
    this.dispatched = undefined;
  }

  /**
   * Closes the socket at a moment when no connection waits in the kernel, since closing resets those.
   *
   * Until then accepted connections are held back. Otherwise clients that reconnect after each response would keep arriving,
   * and one of them would be reset. Afterwards the workers get all of them.
   *
   * Resolves when workers have confirmed each connection, at the latest when `dispatch` is over. One that a blocked worker has
   * not taken goes to another worker when the blocked one is killed.
   */
  async close(deadline: Deadline): Promise<void> {
    this.holding = true;
    // After this, any short turn of the event loop without a new connection will do.
    const patience = deadline.part(STOP_PHASES.quietGap);
    for (let isQuiet = false; !isQuiet && !deadline.expired; ) {
      const gapMs = Math.min(QUIET_GAP_MS - (performance.now() - this.acceptedAt), patience.remaining());
      if (gapMs > 0) await wait(gapMs);
      const before = this.accepted;
      // The second call returns after a complete poll for new connections, however late this process was woken; a poll
      // may accept only one.
      await afterPoll();
      const turnFrom = performance.now();
      await afterPoll();
      isQuiet = before === this.accepted && performance.now() - turnFrom <= SHORT_TURN_MS;
    }
    for (const remove of this.removers) remove();
    this.closeServers();
    this.closed = true;
    this.holding = false;
    this.goOn();
    await this.settled(deadline.part(STOP_PHASES.dispatch));
  }

  /**
   * Stops accepting: another primary listens on the same sockets, so none of the connections in the kernel is lost.
   * @param successor gets every connection that no worker has taken, and that workers hand off from now on.
   */
  handOver(successor: (connection: Connection) => void): void {
    this.closeServers();
    this.closed = true;
    this.successor = successor;
    this.goOn();
  }

  private closeServers(): void {
    for (const server of this.servers) server.close();
  }

  /** Resolves when no connection waits and workers have confirmed all that they were sent, or at the deadline. */
  async settled(deadline: Deadline): Promise<void> {
    if (this.isDispatched()) return;
    this.dispatched ??= deferred();
    await deadline.wait(this.dispatched.promise);
  }

  private isDispatched(): boolean {
    return this.waiting.length === 0 && !this.takers().some(({ awaited }) => awaited);
  }

  /** Round-robin, workers with free slots first. */
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
    const lastTurnBy = (taker: Taker) => this.lastTurns.get(taker) ?? 0;
    let first = takers[0];
    for (const taker of takers) if (first && lastTurnBy(taker) < lastTurnBy(first)) first = taker;
    return first;
  }

  /** Closes the waiting connections: the tree is stopping, and no worker is left to serve them. */
  private giveUp(): void {
    for (const { connection } of this.waiting.splice(0)) closeConnection(connection);
  }
}
