import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setImmediate as afterPoll } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Listener, type Taker } from '../../../lib/cluster/primary/listener';
import { Events } from '../../../lib/core/events';
import { optionsFor } from '../../../lib/core/listen-address';
import { Deadline } from '../../../lib/support/deadline';
import { Load } from '../../support/load';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';

const CALLERS = 8;

/** A worker that answers as soon as it is given a connection. */
class PromptWorker implements Taker {
  readonly takes = true;
  readonly full = false;
  readonly awaited = false;
  taken = 0;

  take(connection: net.Socket): void {
    this.taken++;
    connection.once('data', () => connection.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'));
    connection.resume();
  }
}

/** A client in a thread of its own, which connects while this one is busy. */
class ClientThread {
  private readonly connected = new Int32Array(new SharedArrayBuffer(4));
  private readonly thread: Worker;

  constructor(port: number) {
    this.thread = new Worker(
      `const { parentPort, workerData: { port, connected } } = require('node:worker_threads');
      parentPort.once('message', () => {
        const socket = require('node:net').connect(port, '127.0.0.1', () => {
          Atomics.store(connected, 0, 1);
          Atomics.notify(connected, 0);
          socket.write('GET / HTTP/1.1\\r\\n\\r\\n');
        });
        socket.once('data', (data) => parentPort.postMessage(String(data).split('\\r')[0]));
        socket.once('error', ({ code }) => parentPort.postMessage(code));
      });`,
      { eval: true, workerData: { port, connected: this.connected } },
    );
  }

  /** Blocks this thread until the client is connected. */
  connect(): void {
    this.thread.postMessage('connect');
    Atomics.wait(this.connected, 0, 0, WAIT_LIMIT_MS);
  }

  /** @returns the status line, or the code of the error. */
  async answer(): Promise<string> {
    const [answer] = await once(this.thread, 'message');
    return answer as string;
  }

  async end(): Promise<void> {
    await this.thread.terminate();
  }
}

/** Calls back in the n-th poll from now, counted from 0, as another event of the same poll. */
async function inPoll(n: number, callback: () => void): Promise<void> {
  const server = net.createServer((socket) => {
    let polls = 0;
    socket.on('data', () => {
      if (polls++ < n) writer.write('x');
      else {
        callback();
        server.close();
        socket.destroy();
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const writer = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  await once(server, 'connection');
  writer.on('error', () => undefined);
  writer.write('x');
}

const ADDRESS = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

describe('the listener', () => {
  it('creates a Unix socket with the mode of SOCKET_MODE, whatever the umask, and otherwise by the umask', async () => {
    const folder = tempFolder('socket');
    const mask = process.umask(0o077);
    try {
      for (const [mode, expected] of [
        [0o666, 0o666],
        [null, 0o700],
      ] as const) {
        const file = path.join(folder, `${mode}.sock`);
        const listener = new Listener([{ kind: 'unix', path: file, mode }], () => [], new Events());
        await listener.listen();
        assert.equal(fs.statSync(file).mode & 0o777, expected);
        assert.equal(process.umask(), 0o077);
        await listener.close(Deadline.after(WAIT_LIMIT_MS));
      }
    } finally {
      process.umask(mask);
      removeFolder(folder);
    }
  });

  it('lets as many connections wait as the backlog of an address says', async () => {
    const folder = tempFolder('backlog');
    for (const [backlog, hasRoom] of [
      [1, false],
      [64, true],
    ] as const) {
      const file = path.join(folder, `${backlog}.sock`);
      const take = (connection: net.Socket) => void connection.destroy();
      const worker = { takes: true, full: false, awaited: false, take };
      const listener = new Listener([{ kind: 'unix', path: file, mode: null, backlog }], () => [worker], new Events());
      await listener.listen();
      // Nothing is accepted before this turn of the event loop ends; the system refuses at once what has no room.
      const clients = Array.from({ length: 8 }, () => net.connect(file));
      const outcomes = clients.map((client) =>
        once(client, 'connect').then(
          () => true,
          () => false,
        ),
      );
      assert.equal((await Promise.all(outcomes)).every(Boolean), hasRoom);
      for (const client of clients) client.destroy();
      await listener.close(Deadline.after(WAIT_LIMIT_MS));
    }
    removeFolder(folder);
  });

  it('gives sockets from outside the options of the same address, or those of the only one', () => {
    const tls = { kind: 'tcp', host: '0.0.0.0', port: 443, tls: true, backlog: 9 } as const;
    const proxied = { kind: 'unix', path: '/run/a.sock', mode: null, proxyProtocol: true } as const;
    const bound = (port: number) => ({ address: '::', family: 'IPv6', port });
    assert.deepEqual(optionsFor(bound(443), [proxied, tls]), { tls: true, proxyProtocol: false });
    assert.deepEqual(optionsFor('/run/a.sock', [proxied, tls]), { tls: false, proxyProtocol: true });
    assert.deepEqual(optionsFor(bound(80), [proxied, tls]), { tls: false, proxyProtocol: false });
    assert.deepEqual(optionsFor(bound(80), [tls]), { tls: true, proxyProtocol: false });
  });

  it('holds new connections while it closes the socket, until every client has reconnected, and then has them served', async () => {
    const worker = new PromptWorker();
    const listener = new Listener([ADDRESS], () => [worker], new Events());
    const callers = new Load(await listener.listen(), CALLERS, () => '/', { allFresh: true, whenRefused: 'end' });
    await until('clients are served', () => callers.answered >= 4 * CALLERS);
    const before = worker.taken;
    await listener.close(Deadline.after(10_000));
    await callers.ended();
    assert.deepEqual(callers.failures, {});
    assert.ok(worker.taken - before <= CALLERS, `${worker.taken - before} connections of ${CALLERS} callers`);
    assert.equal(callers.answered, worker.taken);
  });

  it('serves a client that connects after the last look at the socket, in an event that kept the process busy', async () => {
    for (const poll of [0, 1, 2, 3]) {
      const listener = new Listener([ADDRESS], () => [new PromptWorker()], new Events());
      const client = new ClientThread(Number(new URL(await listener.listen()).port));
      let isOpen = true;
      let isConnected = false;
      await inPoll(poll, () => {
        isConnected = isOpen;
        if (isOpen) client.connect();
      });
      await listener.close(Deadline.after(10_000));
      isOpen = false;
      if (isConnected) assert.deepEqual([poll, await client.answer()], [poll, 'HTTP/1.1 200 OK']);
      await client.end();
    }
  });

  it('is settled when workers have confirmed what they were sent, and ends the connections for which none is left', async () => {
    const worker = {
      takes: true,
      full: false,
      awaited: false,
      take: (connection: net.Socket) => {
        worker.awaited = true;
        connection.destroy();
      },
    };
    const listener = new Listener([ADDRESS], () => [worker], new Events());
    const port = Number(new URL(await listener.listen()).port);
    const clients = [net.connect(port, '127.0.0.1')];
    await until('it is sent a connection', () => worker.awaited);
    let isSettled = false;
    const settled = listener.settled(Deadline.after(WAIT_LIMIT_MS)).then(() => {
      isSettled = true;
    });
    await afterPoll();
    assert.equal(isSettled, false);
    Object.assign(worker, { takes: false, awaited: false });
    listener.goOn();
    await settled;
    const late = net.connect(port, '127.0.0.1');
    clients.push(late);
    await once(late, 'connect');
    await Promise.all([listener.close(Deadline.after(WAIT_LIMIT_MS)), once(late.resume(), 'close')]);
    for (const client of clients) client.destroy();
  });
});
