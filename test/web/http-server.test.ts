import assert from 'node:assert/strict';
import http, { type ServerResponse } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { bytesTaken } from '../../lib/internals/socket-handoff';
import { createHttpServer } from '../../lib/web/server';
import { StalledWrites } from '../../lib/web/stalled-writes';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { Serving } from './serving';

const HOUR_MS = 3_600_000;

/** Sends as many requests at once. @returns all responses, once the server has closed the connection. */
async function untilClosed(serving: Serving, path: string, count: number): Promise<string> {
  const socket = await serving.connect();
  let text = '';
  let closed = false;
  socket.on('data', (chunk) => {
    text += String(chunk);
  });
  socket.once('close', () => {
    closed = true;
  });
  socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(count));
  await until('the server has closed the connection', () => closed);
  return text;
}

describe('a connection', () => {
  describe('of a client that pipelines', () => {
    const serving = inSuite('stop', () =>
      Serving.start({
        routes(router) {
          router.get('/quick', (ctx) => {
            ctx.body = 'quick';
          });
          router.get('/never', () => new Promise(() => undefined));
        },
      }),
    );

    it('is closed after the maximum number of pending responses, the last of which says so', async () => {
      const text = await untilClosed(serving, '/quick', 300);
      assert.equal(text.match(/HTTP\/1\.1 200 /g)?.length, 128);
      assert.equal(text.match(/\r\nConnection: close\r\n/g)?.length, 1);
      assert.match(text.slice(text.lastIndexOf('HTTP/1.1 200 ')), /\r\nConnection: close\r\n/);
      await until('each request has finished', () => serving.finished.length === 128);
    });

    it('is cut off if there are too many requests, even without a response', async () => {
      assert.equal(await untilClosed(serving, '/never', 1500), '');
      await until('nothing is in flight', () => serving.limit.snapshot().inFlight === 0);
    });
  });

  describe('without a request', () => {
    const serving = inSuite('stop', () => Serving.start({ web: { keepAliveTimeoutMs: 1000 } }));

    it('is closed after KEEP_ALIVE_TIMEOUT, which each response names', async () => {
      const text = await untilClosed(serving, '/health', 1);
      assert.match(text, /^HTTP\/1\.1 200 [\s\S]*\r\nKeep-Alive: timeout=1\r\n/);
    });
  });

  for (const keepAliveRequests of [3, 1])
    describe(`with KEEP_ALIVE_REQUESTS=${keepAliveRequests}`, () => {
      const serving = inSuite('stop', () => Serving.start({ web: { keepAliveRequests } }));

      it('is closed after so many requests, the last of which says so', async () => {
        const text = await untilClosed(serving, '/health', 5);
        const closes = text
          .split('HTTP/1.1 200 ')
          .slice(1)
          .map((answer) => answer.includes('\r\nConnection: close\r\n'));
        assert.deepEqual(
          closes,
          Array.from({ length: keepAliveRequests }, (_, n) => n + 1 === keepAliveRequests),
        );
      });
    });

  describe('whose client does not read the response', () => {
    const SIZE = 60_000_000;
    let server: http.Server;
    let response: ServerResponse | undefined;
    let client: net.Socket;
    const servers: http.Server[] = [];
    afterEach(async () => {
      client.destroy();
      for (const each of servers.splice(0)) {
        each.closeAllConnections();
        await new Promise((resolve) => each.close(resolve));
      }
    });

    async function ask(listener: (response: ServerResponse) => void, made?: http.Server): Promise<void> {
      response = undefined;
      server = made ?? http.createServer();
      servers.push(server);
      server.on('request', (_request, given: ServerResponse) => {
        response = given;
        listener(given);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
      client.on('error', () => undefined);
      client.pause();
      client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    }
    const large = (given: ServerResponse) => void given.end(Buffer.alloc(SIZE));
    const cut = () => response?.req.socket.destroyed === true;

    it('is cut off after WRITE_TIMEOUT', async () => {
      const made = createHttpServer(
        (_request, given) => {
          response = given;
          large(given);
        },
        { requestTimeoutMs: 29_000, writeTimeoutMs: 40 },
      );
      await ask(() => undefined, made);
      await until('it is cut off', cut);
    });

    it('is cut off once nothing was read for the whole timeout, and not before', async () => {
      let now = 0;
      const stalled = new StalledWrites(10_000, () => now);
      const look = (at: number) => {
        now = at;
        stalled.check();
        return cut();
      };
      await ask((given) => {
        stalled.add(given);
        large(given);
      });
      let bytes: number | undefined;
      await until('the buffers of the system are full', () => {
        const { socket } = response?.req ?? {};
        const taken = socket && bytesTaken(socket);
        const still = taken === bytes;
        bytes = taken;
        return still && bytes !== undefined && bytes > 0;
      });
      assert.equal(look(0), false);
      assert.equal(look(9999), false);
      // The client reads slowly, but makes progress.
      const before = client.bytesRead;
      client.resume();
      await until('a part has been read', () => client.bytesRead > before + SIZE / 10);
      client.pause();
      assert.equal(look(10_000), false);
      assert.equal(look(19_999), false);
      client.resume();
      await until('all has been read', () => response?.writableFinished === true);
      assert.equal(look(HOUR_MS), false);
    });

    it('stays open while there is nothing to read, as in an event stream', async () => {
      let now = 0;
      const stalled = new StalledWrites(10_000, () => now);
      await ask((given) => {
        stalled.add(given);
        given.write('data: 1\n\n');
      });
      await until('the event has been sent', () => response?.req.socket.writableLength === 0);
      for (now = 0; now < HOUR_MS; now += 60_000) stalled.check();
      assert.equal(cut(), false);
      client.resume();
      const came = new Promise<string>((resolve) =>
        client.on('data', (chunk) => /2/.test(String(chunk)) && resolve('2')),
      );
      response?.write('data: 2\n\n');
      assert.equal(await came, '2');
    });
  });
});
