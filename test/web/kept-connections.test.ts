import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { type Arrival, arrivalOf, noteArrival } from '../../lib/internals/socket-handoff';
import { Deadline } from '../../lib/support/deadline';
import { WebServer } from '../../lib/web/server';
import { WAIT_LIMIT_MS } from '../support/wait-limit';

const CLIENT = { remoteAddress: '192.0.2.7', remotePort: 8080, remoteFamily: 'IPv4' } as const;
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

describe('an idle connection that another worker has handed off', () => {
  let web: WebServer;
  let accepting: net.Server;
  let clients: net.Socket[];
  let arrival: Arrival | undefined;

  const start = async (keepAliveTimeoutMs: number) => {
    web = new WebServer(({ socket }, response) => response.end(`for ${socket.remoteAddress}`), {
      ...{ writeTimeoutMs: 10_000, requestTimeoutMs: 3_600_000, headerTimeoutMs: 100, keepAliveTimeoutMs },
    });
    web.expectConnections();
    accepting = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      noteArrival(socket, arrival);
      web.serveConnection(socket);
    });
    await once(accepting.listen(0, '127.0.0.1'), 'listening');
    clients = [];
  };
  afterEach(async () => {
    for (const client of clients) client.destroy();
    accepting.close();
    await web.drain(Deadline.after(WAIT_LIMIT_MS));
  });

  const connect = async (as: Arrival | undefined) => {
    arrival = as;
    const client = net.connect((accepting.address() as AddressInfo).port, '127.0.0.1');
    clients.push(client);
    await once(client, 'connect');
    return client;
  };
  const ask = async (client: net.Socket) => {
    client.write(REQUEST);
    return String((await once(client, 'data'))[0]);
  };

  it('waits for its next request for KEEP_ALIVE_TIMEOUT, and a new one for its first for HEADER_TIMEOUT', async () => {
    await start(3_600_000);
    const [plain, proxied] = [await connect({ isKept: true }), await connect({ isKept: true, client: CLIENT })];
    const [refusal] = await once(await connect(undefined), 'data');
    assert.match(String(refusal), /^HTTP\/1\.1 408 /);
    for (let n = 0; n < 2; n++) {
      assert.match(await ask(plain), /^HTTP\/1\.1 200 .*for 127\.0\.0\.1$/s);
      assert.match(await ask(proxied), /^HTTP\/1\.1 200 .*for 192\.0\.2\.7$/s);
    }
  });

  it('is closed after KEEP_ALIVE_TIMEOUT, or when its client closes it', async () => {
    await start(200);
    const kept = await connect({ isKept: true });
    await once(kept.resume(), 'end');
    assert.equal(kept.bytesRead, 0);
    const left = await connect({ isKept: true });
    left.end();
    await once(left.resume(), 'close');
  });

  it('is handed on before its next request has come, and so is one that has been served; a new one stays new', async () => {
    await start(3_600_000);
    await connect({ isKept: true, client: CLIENT });
    await ask(await connect(undefined));
    await connect(undefined);
    const left: (Arrival | undefined)[] = [];
    await web.drain(Deadline.after(WAIT_LIMIT_MS), (connection, done) => {
      left.push(arrivalOf(connection));
      done();
    });
    assert.deepEqual(left, [{ isKept: true, client: CLIENT }, undefined, { isKept: true }]);
  });
});
