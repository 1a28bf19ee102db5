import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { type Arrival, arrivalOf, noteArrival } from '../../lib/internals/socket-handoff';
import { Deadline } from '../../lib/support/deadline';
import { WebServer } from '../../lib/web/server';
import { type Certificate, makeCertificate } from '../role/certificates';
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

describe('a client of TLS', () => {
  const refused: string[] = [];
  let web: WebServer;
  let accepting: net.Server;
  let server: Certificate;
  let [client, stranger]: { cert: string; key: string }[] = [];
  let clients: { ca: string; isRequired: boolean };
  /** The session that a client may resume. */
  let latest: Buffer | undefined;

  before(async () => {
    const pair = async () => {
      const { chain: cert, key, authorityFile } = await makeCertificate('Clients', 'clientAuth');
      return { cert, key, ca: fs.readFileSync(authorityFile, 'utf8') };
    };
    const ours = await pair();
    [server, client, stranger] = [await makeCertificate(), ours, await pair()];
    clients = { ca: ours.ca, isRequired: true };
  });
  const serve = async (isRequired: boolean) => {
    refused.length = 0;
    web = new WebServer(
      ({ socket }, response) => {
        assert.ok(socket instanceof tls.TLSSocket);
        const certificate = socket.getPeerX509Certificate();
        const again = socket.isSessionReused() ? ' again' : '';
        response
          .setHeader('Connection', 'close')
          .end(`${certificate ? 'a client' : socket.authorized ? 'authorized' : 'a guest'}${again}`);
      },
      {
        ...{ writeTimeoutMs: 10_000, requestTimeoutMs: 29_000 },
        onRefused: (reason, peer) => refused.push(`${peer}: ${reason}`),
      },
    );
    web.expectConnections();
    const { chain: cert, key } = server;
    await web.secure({
      cert,
      key,
      ticketKeys: randomBytes(48).toString('base64'),
      clients: { ...clients, isRequired },
    });
    accepting = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      noteArrival(socket, { tls: true });
      web.serveConnection(socket);
    });
    await once(accepting.listen(0, '127.0.0.1'), 'listening');
  };
  afterEach(async () => {
    accepting.close();
    await web.drain(Deadline.after(WAIT_LIMIT_MS));
  });
  /** @returns the answer; '' when there was none. */
  const ask = async (pair: { cert: string; key: string } | undefined, session?: Buffer) => {
    const { port } = accepting.address() as AddressInfo;
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...pair, session });
    socket.once('session', (ticket) => {
      latest = ticket;
    });
    let text = '';
    socket.on('data', (bytes) => {
      text += String(bytes);
    });
    socket.on('error', () => undefined).write(REQUEST);
    await new Promise((resolve) => socket.once('close', resolve));
    return text.split('\r\n').at(-1);
  };

  it('is served only with a certificate of our authorities, where one is required', async () => {
    await serve(true);
    const answers = [await ask(client), await ask(undefined), await ask(stranger)];
    assert.deepEqual(answers, ['a client', '', '']);
    await until('both are told of', () => refused.length === 2);
    assert.match(refused[0] ?? '', /^127\.0\.0\.1: .*peer did not return a certificate$/);
    assert.match(refused[1] ?? '', /^127\.0\.0\.1: .*certificate is not accepted: [A-Z_]+$/);
  });

  it('is a guest without a certificate, where that is optional, but not with a strange one', async () => {
    await serve(false);
    const answers = [await ask(client), await ask(undefined), await ask(stranger)];
    assert.deepEqual(answers, ['a client', 'a guest', '']);
    assert.match(refused.join(), /^127\.0\.0\.1: .*certificate is not accepted: [A-Z_]+$/);
  });

  it('is a guest, and not authorized, when it resumes a session that had no certificate', async () => {
    await serve(false);
    const [first, again] = [await ask(undefined), await ask(undefined, latest)];
    assert.deepEqual([first, again], ['a guest', 'a guest again']);
  });
});
