import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { type Arrival, arrivalOf, noteArrival } from '../../lib/internals/socket-handoff';
import { Deadline } from '../../lib/support/deadline';
import { WebServer } from '../../lib/web/server';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';

const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

describe('a connection of a proxy', () => {
  const refused: string[] = [];
  let web: WebServer;
  let accepting: net.Server;
  let client: net.Socket;

  beforeEach(async () => {
    refused.length = 0;
    const options = { writeTimeoutMs: 10_000, requestTimeoutMs: 29_000, headerTimeoutMs: 200 };
    web = new WebServer(({ socket }, response) => response.end(`${socket.remoteAddress} ${socket.remotePort}`), {
      ...options,
      trusts: () => true,
      onRefused: (reason) => refused.push(reason),
    });
    web.expectConnections();
    accepting = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      noteArrival(socket, { proxyProtocol: true });
      web.serveConnection(socket);
    });
    await once(accepting.listen(0, '127.0.0.1'), 'listening');
    client = net.connect((accepting.address() as AddressInfo).port, '127.0.0.1');
  });
  afterEach(async () => {
    client.destroy();
    accepting.close();
    await web.drain(Deadline.after(WAIT_LIMIT_MS));
  });

  it('is handed to another worker with the client that its header has named', async () => {
    client.write(`PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n${REQUEST}`);
    const [answer] = await once(client, 'data');
    assert.match(String(answer), /192\.0\.2\.7 8080$/);
    const left: (Arrival | undefined)[] = [];
    await web.drain(Deadline.after(WAIT_LIMIT_MS), (connection, done) => {
      left.push(arrivalOf(connection));
      done();
    });
    const named = { remoteAddress: '192.0.2.7', remotePort: 8080, remoteFamily: 'IPv4' };
    assert.deepEqual(left, [{ tls: false, client: named, isKept: true }]);
  });

  it('that sends no header is closed when its time is over', async () => {
    await until('it is refused', () => refused.length === 1);
    assert.match(refused[0] ?? '', /no header of the PROXY protocol has come in time/);
    await until('it is closed', () => client.destroyed || client.readableEnded || client.resume().destroyed);
  });
});
