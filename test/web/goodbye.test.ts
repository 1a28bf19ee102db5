import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';
import { Deadline } from '../../lib/support/deadline';
import { WebServer } from '../../lib/web/server';
import { handOver } from '../support/hand-over';
import { until } from '../support/until';

/** Longer than any test waits. */
const LONG_MS = 60_000;

describe('a web server that drains', () => {
  let server: WebServer;
  let handler: http.RequestListener = () => undefined;
  let url: string;
  const listeners: (() => void)[] = [];

  beforeEach(async () => {
    const limits = { writeTimeoutMs: 10_000, requestTimeoutMs: 29_000 };
    server = new WebServer((...both) => handler(...both), limits);
  });
  afterEach(() => {
    for (const end of listeners.splice(0)) end();
    return server.drain(Deadline.after(0));
  });

  const listen = async () => {
    const handed = await handOver(server);
    listeners.push(handed.end);
    server.expectConnections();
    return handed.url;
  };

  const sockets = async (onGoodbye: (sockets: WebSocketServer) => void = () => undefined) => {
    const all = new WebSocketServer({ noServer: true });
    await server.extend((http, goodbye) => {
      http.on('upgrade', (request, socket, head) => {
        all.handleUpgrade(request, socket, head, (one) => one.on('message', (words) => one.send(String(words))));
      });
      goodbye.addEventListener('abort', () => onGoodbye(all));
    });
    url = await listen();
    const finishRequest: ClientOptions['finishRequest'] = (request) => {
      // Its case says nothing.
      request.setHeader('Upgrade', 'WebSocket');
      request.end();
    };
    const client = new WebSocket(`${url.replace('http', 'ws')}/chat?room=1`, { finishRequest });
    await once(client, 'open');
    client.send('hello');
    assert.equal(String((await once(client, 'message'))[0]), 'hello');
    return client;
  };

  it('closes each connection after its response from the moment it is a lame duck', async () => {
    const responses: http.ServerResponse[] = [];
    handler = (_, response) => responses.push(response);
    url = await listen();
    const agent = new http.Agent({ keepAlive: true });
    const ask = () => once(http.get(url, { agent }), 'response') as Promise<[http.IncomingMessage]>;
    const before = ask();
    await until('a request is in flight', () => responses.length === 1);
    const quiet = server.enterLameDuck(LONG_MS);
    const after = ask();
    await until('another one has come', () => responses.length === 2);
    for (const response of responses) response.end();
    for (const [answer] of await Promise.all([before, after]))
      assert.equal(answer.resume().headers.connection, 'close');
    await quiet;
    agent.destroy();
  });

  it('closes a WebSocket that the app leaves open with 1001', async () => {
    const client = await sockets();
    const closed = once(client, 'close');
    assert.equal(await server.drain(Deadline.after(LONG_MS)), 0);
    assert.equal((await closed)[0], 1001);
  });

  it('lets the app close its WebSockets by itself', async () => {
    const client = await sockets((all) => {
      for (const one of all.clients) one.close(1012, 'be right back');
    });
    const closed = once(client, 'close');
    assert.equal(await server.drain(Deadline.after(LONG_MS)), 0);
    const [code, reason] = await closed;
    assert.deepEqual([code, String(reason)], [1012, 'be right back']);
  });

  it('signals a stream to end, and waits for an upload', async () => {
    handler = (request, response) => {
      if (request.method === 'POST') request.resume().once('end', () => response.end('all there'));
      else {
        response.write('first\n');
        server.goodbyeOf(response).addEventListener('abort', () => response.end('last\n'));
      }
    };
    url = await listen();
    const upload = http.request(`${url}/upload`, { method: 'POST' });
    const uploaded = once(upload, 'response');
    upload.write('half ');
    const [stream] = (await once(http.get(`${url}/events`), 'response')) as [http.IncomingMessage];
    const drained = server.drain(Deadline.after(LONG_MS));
    let text = '';
    for await (const chunk of stream) text += chunk;
    assert.equal(text, 'first\nlast\n');
    upload.end('and half');
    const [answer] = (await uploaded) as [http.IncomingMessage];
    answer.resume();
    assert.equal(answer.statusCode, 200);
    assert.equal(await drained, 0);
    assert.deepEqual(server.aborted, []);
  });

  it('has said goodbye already to a request that asks for it only then', async () => {
    let ask: (() => AbortSignal) | undefined;
    handler = (_, response) => {
      ask = () => server.goodbyeOf(response);
    };
    url = await listen();
    const request = http.get(url).on('error', () => undefined);
    const asked = await until('a request is in flight', () => ask);
    const drained = server.drain(Deadline.after(50));
    assert.equal(asked().aborted, true);
    assert.equal(asked(), asked(), 'a request has one signal');
    await drained;
    request.destroy();
  });

  it('names the connections that it has cut off at the deadline', async () => {
    handler = (_, response) => {
      response.setHeader('X-Request-Id', 'r1');
      response.write('for ever');
    };
    await sockets();
    const { hostname, port } = new URL(url);
    const silent = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    const upgrade = 'GET /silent?room=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
    silent.write(`${upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    await once(
      silent.on('error', () => undefined),
      'data',
    );
    const [stream] = (await once(http.get(`${url}/events?since=1`), 'response')) as [http.IncomingMessage];
    const ended = new Promise((resolve) => stream.on('error', () => undefined).once('close', resolve));
    assert.equal(await server.drain(Deadline.after(50)), 2);
    await ended;
    silent.destroy();
    assert.deepEqual(
      server.aborted.map(({ what, id }) => [what, id]),
      [
        ['GET /events', 'r1'],
        ['GET /silent', ''],
      ],
    );
  });

  it('names a long poll of socket.io, which bypasses Koa, unless the app has ended it', async () => {
    for (const [deadline, byApp, aborted] of [
      [50, false, ['GET /socket.io/']],
      [LONG_MS, true, []],
    ] as const) {
      const limits = { writeTimeoutMs: 10_000, requestTimeoutMs: 29_000 };
      server = new WebServer((...both) => handler(...both), limits);
      let sockets: Server | undefined;
      await server.extend((http, goodbye) => {
        const all = new Server(http);
        sockets = all;
        if (byApp) goodbye.addEventListener('abort', () => all.engine.close());
      });
      const client = io(await listen(), { transports: ['polling'], forceNew: true, reconnection: false });
      await once(client as unknown as NodeJS.EventEmitter, 'connect');
      await until('the client polls', () => sockets?.sockets.sockets.values().next().value?.conn.transport.writable);
      const left = new Promise((resolve) => client.once('disconnect', resolve));
      await server.drain(Deadline.after(deadline));
      await left;
      assert.deepEqual(
        server.aborted.map(({ what }) => what),
        aborted,
      );
    }
  });
});
