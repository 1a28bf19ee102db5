import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { freePort } from '../../lib/embedded/free-port';
import type { Tree } from '../support/tree';
import { statsOf } from './operator';
import { Stage } from './stage';

const TIMEOUT_S = 2;

describe('a worker in while(true)', () => {
  let stage: Stage;
  let tree: Tree;
  before(async () => {
    stage = await Stage.make();
    // A fixed port: with its only worker gone, the tree listens anew.
    const PORT = String(await freePort());
    tree = await stage.start({ PORT, WORKER_TIMEOUT: `${TIMEOUT_S}s`, WEB_CONCURRENCY: '1' });
  });
  after(() => stage.remove());

  it('is replaced in time, and the log names its last request', async () => {
    const begun = performance.now();
    const from = tree.lines.length;
    const cut = tree.request('GET', '/block?never=ends').catch((error: NodeJS.ErrnoException) => error.code);
    const { text } = await tree.waitForLine(/was not heard of for/);
    const silentMs = performance.now() - begun;
    assert.match(text, /worker 0, pid \d+, .*; it began last: GET \/block \(\d\.\d s\)"/);
    await tree.waitForLine(/killed worker 0, pid \d+: not heard of/);
    assert.equal(await cut, 'ECONNRESET');
    await tree.waitForLine(/worker 0 is ready/, { from });
    assert.equal((await tree.request('GET', '/slow')).status, 200);
    // Nothing is left of what the worker wrote down.
    assert.deepEqual(fs.readdirSync(path.join(tree.cwd, '.catamount')).sort(), ['control.sock', 'state.json']);
    // From the last heartbeat on, which is at most a second before the request.
    assert.ok(silentMs < (TIMEOUT_S + 2) * 1000, `noticed after ${silentMs} ms`);
    const { worker_status } = await statsOf(tree);
    assert.deepEqual(
      worker_status.map(({ restarts }) => restarts),
      [{ timeout: 1 }],
    );
  });

  it('leaves alone one that is merely slow', async () => {
    const { pid } = (await tree.request('GET', `/slow?ms=${(TIMEOUT_S + 1) * 1000}`)).json();
    assert.equal((await tree.request('GET', '/slow')).json().pid, pid);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});
