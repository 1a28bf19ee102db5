import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { useSupervisorApp } from './supervisor-app';

/** Just enough for a tree to start. */
const LIMIT = 100;

describe('a tree that runs out of file descriptors', () => {
  const app = useSupervisorApp();
  const folder = tempFolder('node');
  const node = path.join(folder, 'node');
  const sockets: net.Socket[] = [];
  before(async () => {
    fs.writeFileSync(node, `#!/bin/sh\nulimit -n ${LIMIT}\nexec ${process.execPath} "$@"\n`, { mode: 0o755 });
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    removeFolder(folder);
  });

  const connect = (tree: Tree) => {
    const { hostname, port } = new URL(tree.baseUrl);
    const socket = net.connect({ host: hostname, port: Number(port) });
    socket.on('error', () => undefined);
    sockets.push(socket);
  };
  /** @returns the pid of the worker that answers, or undefined without a 200. */
  const answers = (tree: Tree) =>
    tree.request('GET', '/slow?ms=1').then(
      ({ status, body }) => (status === 200 ? (JSON.parse(body) as { pid: number }).pid : undefined),
      () => undefined,
    );

  for (const count of [1, 2]) {
    it(`logs it with the remedy, and serves again as soon as some are free (${count} workers)`, async () => {
      const tree = await app.start({ WEB_CONCURRENCY: String(count) }, { node, args: ['--only', 'web'] });
      for (let n = 0; n < 3 * LIMIT; n++) connect(tree);
      await tree.waitForLine(/has no file descriptor left.*ulimit -n/);
      for (const socket of sockets.splice(0)) socket.destroy();
      const serving = new Set<number>();
      await until('all of its workers serve again', async () => {
        const pids = await Promise.all(Array.from({ length: 2 * count }, () => answers(tree)));
        for (const pid of pids) if (pid !== undefined) serving.add(pid);
        return serving.size === count && !pids.includes(undefined);
      });
      assert.deepEqual(tree.linesMatching(/uncaught|exited with/), []);
      assert.ok(
        tree.linesMatching(/no file descriptor left/).length <= 2 * (count + 2),
        'it is logged only now and then',
      );
      assert.equal((await tree.stop()).code, 0);
    });
  }
});
