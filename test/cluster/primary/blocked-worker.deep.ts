import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { serverPort } from '../../support/server-port';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('a worker in an endless loop', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  before(async () => {
    const PORT = String(await serverPort());
    tree = await app.start({ PORT, WORKER_TIMEOUT: '10s', SHUTDOWN_TIMEOUT: '4s', WEB_CONCURRENCY: '1' });
  });

  const cutOff = (target: string) => tree.request('GET', target).catch((error: NodeJS.ErrnoException) => error.code);

  it('is replaced, and the log names its last request and the others in flight', async () => {
    const from = tree.lines.length;
    const slow = cutOff('/slow?ms=600000');
    await until('its worker has reported the slow request', async () => {
      const [worker] = (await statsOf(tree)).worker_status;
      return worker?.last_status.busy_threads === 1;
    });
    const cut = cutOff('/block?never=ends');
    const { text } = await tree.waitForLine(/has sent no heartbeat for/);
    assert.match(text, /worker 0 \(pid \d+\) .*in flight: GET \/slow .*; last request: GET \/block \(\d+\.\d s\)"/);
    await tree.waitForLine(/killed worker 0 \(pid \d+\): no heartbeat/);
    assert.deepEqual(await Promise.all([slow, cut]), ['ECONNRESET', 'ECONNRESET']);
    await tree.waitForLine(/worker 0 \(pid \d+\) is ready/, { from });
    assert.equal((await tree.request('GET', '/slow')).status, 200);
    // The request journal of the worker is gone.
    assert.deepEqual(fs.readdirSync(path.join(tree.cwd, '.catamount')).sort(), ['control.sock', 'state.json']);
    const { worker_status } = await statsOf(tree);
    assert.deepEqual(
      worker_status.map(({ restarts }) => restarts),
      [{ timeout: 1 }],
    );
  });

  it('is killed at the deadline of a stop, as the log and the exit code show', async () => {
    const cut = cutOff('/block');
    await tree.waitForLine(/"msg":"it blocks"/, { from: tree.lines.length });
    assert.equal((await tree.stop()).code, 1);
    await tree.waitForLine(/killed worker 0 \(pid \d+\): the deadline has passed/);
    await tree.waitForLine(/stopped in [\d.]+ m?s, [12] killed/);
    assert.equal(await cut, 'ECONNRESET');
    await tree.allGone();
  });
});
