import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { order } from '../cluster/primary/operator';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { type Certificate, makeCertificate } from '../role/certificates';
import { Load } from '../support/load';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';

/** @returns what the tree listens on, in the order of LISTEN. */
async function addressesOf(tree: Tree): Promise<string[]> {
  const { text } = await tree.waitForLine(/Listening on /);
  const [, first = '', rest = ''] =
    /Listening on ([^\s,"]+), ready in [^,"]*(?:, and on ([^"]+?))?(?:"|$)/.exec(text) ?? [];
  return [first, ...rest.split(', ')];
}

/** @returns the status of a request by a Unix socket. */
const askBy = (socketPath: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    http
      .get({ socketPath, path: '/health', agent: false }, (answer) => resolve(answer.resume().statusCode))
      .on('error', reject);
  });

/** @returns the fingerprint of the certificate that a new client is shown. */
async function shown(port: number, ca: string): Promise<string> {
  const socket = tls.connect({ port, host: '127.0.0.1', ca });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

/** Resolves when the tree has closed the connection without a byte, by a reset or not. */
async function closed(socket: net.Socket): Promise<void> {
  socket.on('error', () => undefined).on('data', () => assert.fail('it was answered'));
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

describe('a tree that listens in several places', () => {
  const app = useSupervisorApp({ each: true });
  const folder = tempFolder('listeners');
  const [cert, key] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')];
  const file = path.join(folder, 'web.sock');
  let certificate: Certificate;
  let authority = '';

  const write = ({ chain, key: secret }: Certificate) => {
    fs.writeFileSync(cert, chain);
    fs.writeFileSync(key, secret);
  };
  beforeEach(async () => {
    certificate = await makeCertificate();
    authority = fs.readFileSync(certificate.authorityFile, 'utf8');
    write(certificate);
  });
  after(() => removeFolder(folder));

  const start = async (LISTEN: string, env: Readonly<Record<string, string>> = {}) => {
    const tree = await app.start({ WEB_CONCURRENCY: '2', TLS_CERT: cert, TLS_KEY: key, LISTEN, ...env });
    return { tree, at: await addressesOf(tree) };
  };

  it('serves TCP, TLS and a Unix socket, each with its options, and a hot restart keeps all of them', async () => {
    const { tree, at } = await start(`tcp://127.0.0.1:0,tls://127.0.0.1:0?backlog=64,unix://${file}?mode=606`);
    const [plain = '', secure = ''] = at;
    assert.deepEqual([at.length, at[2]], [3, `unix:${file}`]);
    assert.equal(fs.statSync(file).mode & 0o777, 0o606);
    const loads = [
      new Load(plain, 2, () => '/slow?ms=5'),
      new Load(secure, 3, () => '/slow?ms=5', { allFresh: true, ca: authority }),
    ];
    for (let n = 0; n < 2; n++) {
      await Promise.all(loads.map((load) => load.more(20)));
      await order(tree, 'restart');
      assert.equal(await askBy(file), 200);
    }
    await Promise.all(loads.map((load) => load.more(20)));
    await Promise.all(loads.map((load) => load.stop()));
    assert.deepEqual(
      loads.map(({ failures }) => failures),
      [{}, {}],
    );
    assert.equal((await tree.stop()).code, 0);
    assert.ok(!fs.existsSync(file));
  });

  it('renews its certificate under load without a failed handshake, and keeps it when the new files are broken', async () => {
    const { tree, at } = await start('tls://127.0.0.1:0');
    const port = Number(new URL(at[0] ?? '').port);
    const next = await makeCertificate('Another Authority');
    const both = `${authority}\n${fs.readFileSync(next.authorityFile, 'utf8')}`;
    const load = new Load(at[0] ?? '', 4, () => '/slow?ms=1', { allFresh: true, ca: both });
    await load.more(20);
    const { fingerprint256: renewed } = new X509Certificate(next.chain);
    write(next);
    await until('new clients see the new one', async () => (await shown(port, both)) === renewed);
    await load.more(50);
    // The certificate of another key.
    fs.writeFileSync(cert, certificate.chain);
    await tree.waitForLine(/TLS_KEY.*key.* What was read before stays in use/);
    await load.more(50);
    await load.stop();
    assert.deepEqual(load.failures, {});
    // A worker that starts while the files are broken has it, too.
    const workers = tree.processes().all.filter(({ command }) => command.startsWith('catamount: web'));
    for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    await until('it is served again', async () => (await shown(port, both).catch(() => '')) === renewed);
    await assert.rejects(order(tree, 'restart'), /did not start.*serves on/);
    assert.equal(await shown(port, both), renewed);
  });

  it('asks its clients for certificates, and serves those with none, or one of its authorities, as it is set', async () => {
    const [ours, theirs] = [await makeCertificate('Ours', 'clientAuth'), await makeCertificate('Theirs', 'clientAuth')];
    const [client, stranger] = [
      { cert: ours.chain, key: ours.key },
      { cert: theirs.chain, key: theirs.key },
    ];
    const ca = path.join(folder, 'clients.pem');
    const trust = ({ authorityFile }: Certificate) => fs.copyFileSync(authorityFile, ca);
    trust(ours);
    const fingerprint = new X509Certificate(ours.chain).fingerprint256;
    const serving = async (env: Readonly<Record<string, string>>) => {
      // Each of several workers hears of new authorities at a moment of its own.
      const { tree, at } = await start('tls://127.0.0.1:0', { TLS_CLIENT_CA: ca, WEB_CONCURRENCY: '1', ...env });
      const port = Number(new URL(at[0] ?? '').port);
      /** @returns the fingerprint that a route sees, `guest`, or `refused`; and the session. */
      const ask = async (options: tls.ConnectionOptions = {}) => {
        const socket = tls.connect({ port, host: '127.0.0.1', ca: authority, ...options });
        let session: Buffer | undefined;
        let text = '';
        socket.on('session', (ticket: Buffer) => {
          session = ticket;
        });
        socket.on('error', () => undefined).write('GET /peer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        socket.on('data', (chunk) => {
          text += String(chunk);
        });
        await new Promise((resolve) => socket.once('close', resolve));
        const [, body] = /(\{.*\})/.exec(text) ?? [];
        const seen = body === undefined ? 'refused' : (JSON.parse(body).certificate ?? 'guest');
        return { seen, session };
      };
      return { tree, at: at[0] ?? '', ask };
    };

    const { tree, at, ask } = await serving({});
    assert.equal((await ask()).seen, 'refused');
    const { seen, session } = await ask(client);
    assert.equal(seen, fingerprint);
    assert.ok(session);
    assert.equal((await ask({ ...client, session })).seen, fingerprint);
    const strange = await ask(stranger);
    assert.equal(strange.seen, 'refused');
    if (strange.session) assert.equal((await ask({ ...stranger, session: strange.session })).seen, 'refused');
    await tree.waitForLine(
      /refused 1 connection, the last of 127\.0\.0\.1: the handshake of TLS failed: .*certificate/,
    );
    const load = new Load(at, 3, () => '/slow?ms=1', { allFresh: true, ca: authority, client });
    await load.more(20);
    fs.appendFileSync(ca, fs.readFileSync(theirs.authorityFile));
    await until('both are trusted', async () => (await ask(stranger)).seen !== 'refused');
    await load.more(20);
    await load.stop();
    assert.deepEqual(load.failures, {});
    trust(theirs);
    await until('ours are no longer', async () => (await ask(client)).seen === 'refused');
    assert.equal((await ask({ ...client, session })).seen, 'refused');
    await order(tree, 'restart');
    assert.deepEqual([(await ask(client)).seen, (await ask()).seen], ['refused', 'refused']);
    assert.notEqual((await ask(stranger)).seen, 'refused');
    await tree.stop();

    trust(ours);
    const optional = await serving({ TLS_CLIENT_CERT: 'optional' });
    const all = await Promise.all([optional.ask(), optional.ask(client), optional.ask(stranger)]);
    assert.deepEqual(
      all.map((one) => one.seen),
      ['guest', fingerprint, 'refused'],
    );
  });

  it('uses the ciphers that NODE_OPTIONS names', async () => {
    const { at } = await start('tls://127.0.0.1:0', { NODE_OPTIONS: '--tls-cipher-list=TLS_AES_128_GCM_SHA256' });
    const socket = tls.connect({ port: Number(new URL(at[0] ?? '').port), host: '127.0.0.1', ca: authority });
    await once(socket, 'secureConnect');
    // Both sides would prefer one of 256 bits.
    assert.equal(socket.getCipher().name, 'TLS_AES_128_GCM_SHA256');
    socket.destroy();
  });

  it('with files that are no certificate does not start, and says why', async () => {
    fs.writeFileSync(key, 'no key');
    const tree = app.spawn({ TLS_CERT: cert, TLS_KEY: key });
    await tree.waitForLine(/Catamount cannot start: the files of TLS_CERT .* are no certificate and its key in PEM/);
    assert.equal((await tree.end()).code, 78);
  });

  it('learns the client from the PROXY protocol where that is on, over TLS, too, and refuses what lacks it', async () => {
    const LISTEN = 'tcp://127.0.0.1:0,tcp://127.0.0.1:0?proxy_protocol=1,tls://127.0.0.1:0?proxy_protocol=1';
    const { tree, at } = await start(LISTEN);
    const ports = at.map((address) => Number(new URL(address).port));
    const header = 'PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n';
    const request = 'GET /peer HTTP/1.1\r\nHost: a\r\n\r\n';
    const ask = (socket: net.Socket) => {
      socket.write(request);
      return once(socket, 'data').then(([data]) => /"ip":"([^"]*)"/.exec(String(data))?.[1]);
    };
    const [plain, proxied, over] = ports.map((port) => net.connect(port, '127.0.0.1'));
    assert.ok(plain && proxied && over);
    assert.equal(await ask(plain), '127.0.0.1');
    for (const part of header.match(/.{1,9}/gs) ?? []) proxied.write(part);
    assert.equal(await ask(proxied), '192.0.2.7');
    over.write(header);
    const secure = tls.connect({ socket: over, ca: authority, servername: 'localhost' });
    assert.equal(await ask(secure), '192.0.2.7');
    // The connection goes on to the next worker, and so does its client.
    await order(tree, 'restart');
    assert.equal(await ask(proxied), '192.0.2.7');
    const forged = net.connect(ports[1] ?? 0, '127.0.0.1');
    forged.write(request);
    await closed(forged);
    await tree.waitForLine(/refused 1 connection, the last of 127\.0\.0\.1: it does not begin with a header/);
    for (const socket of [plain, proxied, secure]) socket.destroy();
  });

  it('takes the PROXY protocol only from the proxies whose addresses TRUST_PROXY has', async () => {
    const { tree, at } = await start('tcp://127.0.0.1:0,tls://127.0.0.1:0,tcp://127.0.0.1:0?proxy_protocol=1', {
      TRUST_PROXY: '10.0.0.0/8',
    });
    const stranger = net.connect(Number(new URL(at[2] ?? '').port), '127.0.0.1');
    stranger.write('PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n');
    await Promise.all([closed(stranger), tree.waitForLine(/refused .* its peer is none of TRUST_PROXY/)]);
  });
});
