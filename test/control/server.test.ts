import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import fc from 'fast-check';
import { socketAddress } from '../../lib/control/socket-path';
import { RecorderProcess } from './recorder-process';
import { rawExchange, socketRequest } from './socket-request';

describe('the control server', () => {
  let recorder: RecorderProcess;
  let authorization: string;
  before(async () => {
    recorder = await RecorderProcess.start();
    authorization = `Bearer ${recorder.state.token}`;
  });
  after(() => recorder.cleanup());
  const ask = (method: string, path: string, headers: Record<string, string> = { authorization }) =>
    socketRequest(recorder.socket, method, path, headers);
  /** Nothing was done, and it serves. */
  const assertUndisturbed = async () => {
    assert.deepEqual(
      recorder.calls.filter((call) => call !== 'stats'),
      [],
    );
    assert.equal((await ask('GET', '/status')).status, 200);
  };

  it('refuses a token that is missing, wrong, or sent in another way', async () => {
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

  it('names the known commands when asked for an unknown one', async () => {
    for (const path of ['/', '/nonsense', '/STATS', '/stats/', '/stop/1', '/jobs', '/jobs quiet', '/%73top', '*']) {
      const { status, body } = await ask('GET', path.replaceAll(' ', '%20'));
      assert.equal(status, 404, path);
      assert.match(String(body.error), /\/stats.*\/phased-restart.*\/jobs\/quiet.*\/heap-snapshot/);
    }
  });

  it('insists on the method', async () => {
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

  it('insists on the argument', async () => {
    for (const path of [
      '/heap-snapshot',
      '/heap-snapshot/',
      '/heap-snapshot/-1',
      '/heap-snapshot/1e3',
      '/heap-snapshot/1/2',
    ]) {
      const { status, body } = await ask('POST', path);
      assert.equal(status, 400, path);
      assert.match(String(body.error), /heap-snapshot N needs the slot of a worker/);
    }
    await assertUndisturbed();
  });

  it('takes no body, however large', async () => {
    const head = `POST /gc HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n`;
    const megabytes = 'x'.repeat(8_000_000);
    assert.match(
      await rawExchange(recorder.socket, `${head}content-length: 8000000\r\n\r\n${megabytes}`),
      /^(HTTP\/1.1 413 |$)/,
    );
    assert.match(await rawExchange(recorder.socket, `${head}content-length: 2\r\n\r\n{}`), /^HTTP\/1.1 413 /);
    assert.match(await rawExchange(recorder.socket, `${head}transfer-encoding: chunked\r\n\r\n`), /^HTTP\/1.1 413 /);
    await assertUndisturbed();
  });

  it('refuses what is malformed or too large', async () => {
    const large = `GET /stats HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`;
    assert.match(await rawExchange(recorder.socket, large), /^HTTP\/1.1 431 /);
    assert.match(await rawExchange(recorder.socket, 'nonsense\r\n\r\n'), /^HTTP\/1.1 400 /);
    assert.match(await rawExchange(recorder.socket, 'GET /stats HTTP/1.1\r\n\r\n'), /^HTTP\/1.1 400 /);
    assert.equal(await rawExchange(recorder.socket, 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n'), '');
    await assertUndisturbed();
  });

  it('cuts off who is slow, and serves others meanwhile', async () => {
    const begun = performance.now();
    const slow = ['', 'GET /sta', `GET /stats HTTP/1.1\r\nhost: x\r\n`].map((text) =>
      rawExchange(recorder.socket, text),
    );
    await assertUndisturbed();
    for (const answer of await Promise.all(slow)) assert.match(answer, /^(HTTP\/1.1 408 |$)/);
    assert.ok(performance.now() - begun < 15_000);
  });

  it('serves on when it has been flooded with connections', async () => {
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

  it('survives anything that is sent', async () => {
    const line = fc.constantFrom(
      'GET /stats HTTP/1.1\r\n',
      'POST / HTTP/1.1\r\n',
      'host: x\r\n',
      '\r\n',
      'content-length: 9\r\n',
      'authorization: Bearer \r\n',
      'upgrade: x\r\nconnection: upgrade\r\n',
      'expect: 100-continue\r\n',
      'transfer-encoding: chunked\r\n',
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc
        .array(fc.oneof(line, fc.string({ maxLength: 20 })), { maxLength: 12 })
        .map((parts) => Buffer.from(parts.join(''))),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (sent) => {
        await rawExchange(recorder.socket, sent, { end: true });
      }),
      { numRuns: 300 },
    );
    await assertUndisturbed();
    assert.equal(recorder.output.matching(({ json }) => json.name === 'error').length, 0);
  });

  it('survives any path and method from who has the token', async () => {
    const method = fc.constantFrom('GET', 'PUT', 'OPTIONS', 'TRACE', 'SEARCH');
    const target = fc.stringMatching(/^\/[!-~]{0,60}$/).filter((path) => !/^\/(stats|status)(\?|$)/.test(path));
    await fc.assert(
      fc.asyncProperty(method, target, async (verb, path) => {
        const { status } = await ask(verb, path);
        assert.ok([404, 405].includes(status), `${verb} ${path} ${status}`);
      }),
      { numRuns: 200 },
    );
    await assertUndisturbed();
  });

  it('lets only its user in, whatever the umask', async () => {
    assert.equal(fs.statSync(recorder.socket).mode & 0o777, 0o600);
    assert.equal(fs.statSync(recorder.stateFile).mode & 0o777, 0o600);
    assert.equal((await recorder.said('listening')).umask, 0);
  });
});
