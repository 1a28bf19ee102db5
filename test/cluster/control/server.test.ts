import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { socketAddress } from '../../../lib/cluster/control/state-file';
import { Recorder } from './recorder';
import { rawExchange, socketRequest } from './socket-request';

describe('the control server', () => {
  let recorder: Recorder;
  let authorization: string;
  before(async () => {
    recorder = await Recorder.start();
    authorization = `Bearer ${recorder.state.token}`;
  });
  after(() => recorder.cleanup());
  const ask = (method: string, path: string, headers: Record<string, string> = { authorization }) =>
    socketRequest(recorder.socket, method, path, headers);
  /** No operation was called, and the server still answers. */
  const assertUndisturbed = async () => {
    assert.deepEqual(
      recorder.calls.filter((call) => call !== 'status'),
      [],
    );
    assert.equal((await ask('GET', '/status')).status, 200);
    assert.deepEqual(recorder.complaints, []);
  };

  it('refuses a token that is missing, wrong, or sent in another way', async () => {
    assert.equal(fs.statSync(recorder.socket).mode & 0o777, 0o600, 'other users cannot even ask');
    const { token } = recorder.state;
    const wrong = [undefined, '', 'Bearer', 'Bearer ', `Bearer ${token}x`, `Bearer ${token.slice(1)}`, token];
    wrong.push(`Basic ${token}`, `Bearer ${token.toUpperCase()}`, `Bearer ${token}, Bearer ${token}`);
    for (const header of wrong) {
      for (const path of ['/stats', '/stop', `/stop?token=${token}`, '/nonsense', '/']) {
        const { status, body } = await ask('POST', path, header === undefined ? {} : { authorization: header });
        assert.equal(status, 403, `${header} ${path}`);
        assert.match(String(body.error), /token/);
      }
    }
    await assertUndisturbed();
  });

  it('answers an unknown command with 404 and lists the known ones', async () => {
    for (const path of ['/', '/nonsense', '/STATS', '/stats/', '/stop/1', '/jobs', '/jobs quiet', '/%73top', '*']) {
      const { status, body } = await ask('GET', path.replaceAll(' ', '%20'));
      assert.equal(status, 404, path);
      assert.match(String(body.error), /\/stats.*\/phased-restart.*\/recycle.*\/jobs\/quiet/);
    }
  });

  it('answers a wrong method with 405 and names the right one', async () => {
    for (const [method, path, allow] of [
      ['GET', '/stop', 'POST'],
      ['HEAD', '/stop', 'POST'],
      ['POST', '/stats', 'GET'],
      ['DELETE', '/phased-restart', 'POST'],
    ] as const) {
      const { status, headers } = await ask(method, path);
      assert.deepEqual([status, headers.allow], [405, allow]);
    }
    await assertUndisturbed();
  });

  it('answers a missing or invalid argument with 400', async () => {
    for (const path of ['/recycle', '/recycle/', '/recycle/-1', '/recycle/1e3', '/recycle/1/2']) {
      const { status, body } = await ask('POST', path);
      assert.equal(status, 400, path);
      assert.match(String(body.error), /recycle N needs the slot of a worker/);
    }
    await assertUndisturbed();
  });

  it('rejects a request with a body, however large', async () => {
    const head = `POST /restart HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n`;
    const megabytes = 'x'.repeat(8_000_000);
    assert.match(
      await rawExchange(recorder.socket, `${head}content-length: 8000000\r\n\r\n${megabytes}`),
      /^(HTTP\/1.1 413 |$)/,
    );
    assert.match(await rawExchange(recorder.socket, `${head}content-length: 2\r\n\r\n{}`), /^HTTP\/1.1 413 /);
    assert.match(await rawExchange(recorder.socket, `${head}transfer-encoding: chunked\r\n\r\n`), /^HTTP\/1.1 413 /);
    await assertUndisturbed();
  });

  it('rejects malformed requests and headers that are too large', async () => {
    const large = `GET /stats HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`;
    assert.match(await rawExchange(recorder.socket, large), /^HTTP\/1.1 431 /);
    assert.match(await rawExchange(recorder.socket, 'nonsense\r\n\r\n'), /^HTTP\/1.1 400 /);
    assert.match(await rawExchange(recorder.socket, 'GET /stats HTTP/1.1\r\n\r\n'), /^HTTP\/1.1 400 /);
    assert.equal(await rawExchange(recorder.socket, 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n'), '');
    await assertUndisturbed();
  });

  it('serves other clients while some are slow, and disconnects the slow ones after a timeout', async () => {
    const begun = ['', 'GET /sta', `GET /stats HTTP/1.1\r\nhost: x\r\n`];
    for (const text of begun)
      net
        .connect(socketAddress(recorder.socket))
        .on('error', () => undefined)
        .write(text);
    await assertUndisturbed();
    const impatient = await Recorder.start({ patienceMs: 30 });
    for (const text of begun) assert.match(await rawExchange(impatient.socket, text), /^(HTTP\/1.1 408 |$)/);
    await impatient.cleanup();
  });

  it('still serves after a flood of connections', async () => {
    const idle = Array.from({ length: 200 }, () => net.connect(socketAddress(recorder.socket)));
    await Promise.all(
      idle.map(
        (socket) =>
          new Promise((resolve) => socket.once('close', resolve).once('connect', resolve).once('error', resolve)),
      ),
    );
    for (const socket of idle) socket.destroy();
    await assertUndisturbed();
  });
});
