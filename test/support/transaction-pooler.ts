import net, { type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import pg from 'pg';

const SSL_REQUEST = 80_877_103;
const AUTHENTICATION_OK = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
/** Messages that a server may send at any time: NotificationResponse, NoticeResponse, ParameterStatus. */
const UNSOLICITED = 'ANS';

/** An authenticated connection to Postgres, whose bytes the pooler reads and writes. */
interface ServerConnection {
  readonly socket: Duplex;
  readonly client: pg.Client;
  /** The client whose transaction it runs. */
  caller: Caller | undefined;
}

interface Caller {
  readonly socket: net.Socket;
  server: ServerConnection | undefined;
  /** The number of Query and Sync messages not yet answered by ReadyForQuery. */
  owed: number;
  /** Messages that wait for a server connection. */
  readonly waiting: Buffer[];
}

/**
 * A pooler in transaction mode in front of a real Postgres, like PgBouncer with `pool_mode = transaction`. A client has
 * a server connection until ReadyForQuery says that no transaction is open; its next statement may get another one.
 * Notifications that arrive while no client has the connection are dropped, as PgBouncer does.
 */
export class TransactionPooler {
  private readonly servers: ServerConnection[] = [];
  private readonly callers = new Set<Caller>();
  private readonly queue: Caller[] = [];
  private readonly server = net.createServer((socket) => this.accept(socket));
  private opening = 0;
  private keepsSessions = false;

  private constructor(
    private readonly target: string,
    private readonly poolSize: number,
  ) {}

  /** @param target URL of the database. */
  static async open(target: string, poolSize = 10): Promise<TransactionPooler> {
    const pooler = new TransactionPooler(target, poolSize);
    await new Promise<void>((resolve) => pooler.server.listen(0, '127.0.0.1', resolve));
    return pooler;
  }

  get url(): string {
    const url = new URL(this.target);
    url.host = `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return url.href;
  }

  /** From now on a client keeps its server connection, as with `pool_mode = session`. All clients have to reconnect. */
  keepSessions(): void {
    this.keepsSessions = true;
    for (const { socket } of this.callers) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const { socket } of this.callers) socket.destroy();
    for (const { socket } of this.servers) socket.destroy();
    await closed;
  }

  private accept(socket: net.Socket): void {
    const caller: Caller = { socket, server: undefined, owed: 0, waiting: [] };
    this.callers.add(caller);
    let greeted = false;
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      while (!greeted && rest.length >= 8 && rest.length >= rest.readInt32BE(0)) {
        const encrypts = rest.readInt32BE(4) === SSL_REQUEST;
        rest = rest.subarray(rest.readInt32BE(0));
        greeted = !encrypts;
        socket.write(encrypts ? 'N' : Buffer.concat([AUTHENTICATION_OK, READY]));
      }
      if (greeted) rest = eachMessage(rest, (type, message) => this.ask(caller, type, message));
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.left(caller));
  }

  private ask(caller: Caller, type: string, message: Buffer): void {
    if (type === 'X') return;
    if (type === 'Q' || type === 'S') caller.owed++;
    if (caller.server) caller.server.socket.write(message);
    else if (caller.waiting.push(message) === 1) {
      this.queue.push(caller);
      this.assign();
    }
  }

  private assign(): void {
    while (this.queue.length > 0) {
      // The most recently used connection is taken first, as by PgBouncer.
      const server = this.servers.findLast((one) => one.caller === undefined);
      if (!server) {
        if (this.servers.length + this.opening < this.poolSize) void this.openServer();
        return;
      }
      const caller = this.queue.shift();
      if (!caller) return;
      server.caller = caller;
      caller.server = server;
      for (const message of caller.waiting.splice(0)) server.socket.write(message);
    }
  }

  /** Lets pg authenticate, then takes over its socket. */
  private async openServer(): Promise<void> {
    this.opening++;
    const client = new pg.Client(this.target);
    client.on('error', () => undefined);
    await client.connect();
    this.opening--;
    const { stream: socket } = (client as unknown as { connection: { stream: Duplex } }).connection;
    socket.removeAllListeners('data');
    const server: ServerConnection = { socket, client, caller: undefined };
    let rest: Buffer = Buffer.alloc(0);
    socket.on('data', (data: Buffer) => {
      rest = eachMessage(Buffer.concat([rest, data]), (type, message) => this.answer(server, type, message));
    });
    socket.on('close', () => {
      this.servers.splice(this.servers.indexOf(server), 1);
      server.caller?.socket.destroy();
    });
    this.servers.push(server);
    this.assign();
  }

  private answer(server: ServerConnection, type: string, message: Buffer): void {
    const { caller } = server;
    if (!caller) {
      if (!UNSOLICITED.includes(type)) server.socket.destroy(new Error(`an unexpected message of the server: ${type}`));
      return;
    }
    caller.socket.write(message);
    if (type !== 'Z') return;
    caller.owed--;
    if (this.keepsSessions || caller.owed > 0 || message.toString('latin1', 5, 6) !== 'I') return;
    caller.server = undefined;
    server.caller = undefined;
    this.assign();
  }

  private left(caller: Caller): void {
    this.callers.delete(caller);
    const place = this.queue.indexOf(caller);
    if (place >= 0) this.queue.splice(place, 1);
    // Closing the connection rolls back its transaction.
    caller.server?.socket.destroy();
  }
}

/** Calls `take` for each complete message. @returns the remaining bytes. */
function eachMessage(bytes: Buffer, take: (type: string, message: Buffer) => void): Buffer {
  let rest = bytes;
  while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
    const length = rest.readInt32BE(1) + 1;
    take(rest.toString('latin1', 0, 1), rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return rest;
}
