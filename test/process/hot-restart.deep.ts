import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { createClient } from 'redis';
import { TREES } from '../../lib/tree/keys';
import { order, statsOf } from '../cluster/primary/operator';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { npm } from '../package/npm';
import { Load } from '../support/load';
import { sized } from '../support/long-form';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { signUpsThrough } from './sign-ups';

const RESTARTS = sized(3, 10);
/** Not that of the tests: the newest release of another line. */
const OTHER_NODE = { '22': '24.22.3' }[process.versions.node.split('.')[0] ?? ''] ?? '22.23.5';

const stateFile = (tree: Tree) => path.join(tree.cwd, '.catamount/state.json');
/** @returns the status of /health by a Unix socket. */
const ask = (socketPath: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    const request = http.get({ socketPath, path: '/health', agent: false }, (answer) => {
      resolve(answer.resume().statusCode);
    });
    request.on('error', reject);
  });
const primaries = (tree: Tree) =>
  tree.leftovers().filter(({ command }) => /^catamount: (primary|parent)/.test(command)).length;

/** @returns the number of trees that Redis knows. */
async function listedTrees(url: string): Promise<number> {
  const client = createClient({ url });
  await client.connect();
  try {
    return await client.zCard(TREES);
  } finally {
    await client.close();
  }
}

describe('a hot restart', () => {
  const deployment = useDeployment();

  it(`${RESTARTS} times under load refuses and cuts off no request, and enqueues and mails once`, async () => {
    const tree = await deployment.start({ env: { SHUTDOWN_TIMEOUT: '5m', WEB_CONCURRENCY: '2' } });
    const load = new Load(tree.baseUrl, 6, (n) => (n % 2 === 0 ? '/' : '/users/me'));
    const pids = new Set<number>();
    await signUpsThrough(deployment, tree, async (stream) => {
      for (let n = 0; n < RESTARTS; n++) {
        await Promise.all([stream.more(10), load.more(50)]);
        assert.deepEqual(await order(tree, 'restart'), { status: 'ok' });
        pids.add((await statsOf(tree)).pid);
        await until('the one before is gone', () => primaries(tree) === 2);
        await until('it has finished', () => tree.linesMatching(/stopped in .*, 0 killed/).length === n + 1);
        // A tree that is only gone would look like one that is cut off.
        assert.equal(await listedTrees(deployment.redis.url), 1);
      }
      await load.more(50);
      await load.stop();
    });
    assert.deepEqual(load.failures, {});
    assert.equal(pids.size, RESTARTS);
    assert.ok(!pids.has(tree.pid), 'the first remains as a parent');
    await tree.allGone();
  });

  it('runs on the Node.js that the command line leads to then', async () => {
    const folder = tempFolder('other-node');
    const link = path.join(folder, 'node');
    try {
      await npm(folder, 'install', '--prefix', folder, `node-${process.platform}-${process.arch}@${OTHER_NODE}`);
      fs.symlinkSync(process.execPath, link);
      const tree = await deployment.start({ node: link, env: { WEB_CONCURRENCY: '1' } });
      assert.equal((await statsOf(tree)).versions.node, process.version);
      const load = new Load(tree.baseUrl, 4, () => '/');
      await signUpsThrough(deployment, tree, async () => {
        const other = path.join(folder, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
        for (let n = 0; n < sized(1, 10); n++) {
          const [target, version] = n % 2 === 0 ? [other, `v${OTHER_NODE}`] : [process.execPath, process.version];
          fs.unlinkSync(link);
          fs.symlinkSync(target, link);
          await order(tree, 'restart');
          assert.equal((await statsOf(tree)).versions.node, version);
          await load.more(50);
          await until('the one before is gone', () => primaries(tree) === 2);
        }
        await load.stop();
      });
      assert.deepEqual(load.failures, {});
    } finally {
      removeFolder(folder);
    }
  });
});

describe('a hot restart of an app', () => {
  const app = useSupervisorApp({ each: true });
  it('that cannot boot ends the new one, says why, and the old one serves on; the next restart succeeds', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    const load = new Load(tree.baseUrl, 4, () => '/slow?ms=5');
    const mend = app.switchOn('broken');
    await assert.rejects(order(tree, 'restart'), /the new primary did not start: it ended with code \d+.*serves on/);
    await tree.waitForLine(/the restart failed, this primary serves on/);
    assert.equal((await statsOf(tree)).pid, tree.pid);
    assert.equal(primaries(tree), 1);
    mend();
    await order(tree, 'restart');
    assert.notEqual((await statsOf(tree)).pid, tree.pid);
    await load.more(20);
    await load.stop();
    assert.deepEqual(load.failures, {});
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });

  it('finishes what the old tree has in hand, and passes signals and the exit code on', async () => {
    const release = app.switchOn('hold');
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    const held = tree.request('GET', '/held');
    await tree.request('POST', '/waiting-job?name=long&flag=hold');
    await until('the job runs', () => app.notes('jobs').some(({ does }) => does === 'begins'));
    await order(tree, 'restart');
    await until('new requests reach the new tree', async () => {
      const { pid } = (await tree.request('GET', '/slow')).json() as { pid: number };
      return (await statsOf(tree)).worker_status.some((worker) => worker.pid === pid);
    });
    release();
    assert.equal((await held).status, 200);
    await until('the job ends', () => app.notes('jobs').some(({ does }) => does === 'ends'));
    assert.equal(app.notes('jobs').filter(({ does }) => does === 'begins').length, 1);
    await until('the old tree is gone', () => tree.linesMatching(/stopped in .*, 0 killed/).length === 1);
    process.kill(tree.pid, 'SIGUSR2');
    await until(
      'the new one has restarted its workers',
      async () => (await statsOf(tree)).last_phase?.completed === true,
    );
    process.kill((await statsOf(tree)).pid, 'SIGKILL');
    assert.equal((await tree.end()).code, 1);
    await tree.allGone();
  });

  it('ends when the process that was started is killed', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    await order(tree, 'restart');
    process.kill(tree.pid, 'SIGKILL');
    await tree.allGone();
    assert.equal(fs.existsSync(stateFile(tree)), false);
  });

  it('keeps a Unix socket and its mode, and the last stop removes it', async () => {
    const folder = tempFolder('web');
    const file = path.join(folder, 'web.sock');
    const tree = app.spawn({ WEB_CONCURRENCY: '1', HOST: `unix:${file}`, SOCKET_MODE: '0660' });
    await tree.waitForLine(/Listening on unix:/);
    const first = fs.statSync(file).ino;
    for (let n = 0; n < 2; n++) {
      await order(tree, 'restart');
      assert.equal(await ask(file), 200);
    }
    const { ino, mode } = fs.statSync(file);
    assert.deepEqual([ino, mode & 0o777], [first, 0o660]);
    assert.equal((await tree.stop()).code, 0);
    assert.deepEqual(fs.readdirSync(folder), []);
    assert.equal(fs.existsSync(stateFile(tree)), false);
    removeFolder(folder);
  });

  it('is refused where memory does not suffice for two trees', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1', MEMORY_LIMIT_MB: '400' });
    await tree.request('GET', '/leak?mb=180');
    await assert.rejects(order(tree, 'restart'), /2 × \d+ MB exceed MEMORY_LIMIT_MB \(400\)/);
    assert.equal((await tree.request('GET', '/health')).status, 200);
  });
});

describe('sockets of systemd', () => {
  const app = useSupervisorApp();

  it('are what the tree listens on, through a hot restart and from one start to the next, without a refused request', async () => {
    const folder = tempFolder('activated');
    const file = path.join(folder, 'web.sock');
    const [tcp, unix] = [held('127.0.0.1', 0, 4), held(file, -1, -1)];
    const name: { port?: number } = {};
    tcp.getsockname(name);
    // systemd sets LISTEN_PID between fork and exec, as the shell does here.
    const start = async () => {
      const args = ['LISTEN_PID=$$ exec "$0" "$1"', process.execPath, app.entryFile];
      const env = { WEB_CONCURRENCY: '1', PORT: '1', LISTEN_FDS: '2', LISTEN_FDNAMES: 'http:local' };
      return app.start(env, { node: '/bin/sh', entry: '-c', args, sockets: [tcp, unix] });
    };
    try {
      let tree = await start();
      assert.equal(tree.baseUrl, `http://127.0.0.1:${name.port}`);
      const load = new Load(tree.baseUrl, 4, () => '/slow?ms=5', { allFresh: true });
      await load.more(20);
      await order(tree, 'restart');
      await load.more(20);
      assert.equal(await ask(file), 200);
      assert.equal((await tree.stop()).code, 0);
      assert.ok(fs.existsSync(file), 'the file belongs to systemd');
      tree = await start();
      await load.more(20);
      assert.equal(await ask(file), 200);
      await load.stop();
      assert.deepEqual(load.failures, {});
    } finally {
      tcp.close();
      unix.close();
      removeFolder(folder);
    }
  });

  it('that are none end the start with an error that names them', async () => {
    const args = ['LISTEN_PID=$$ exec "$0" "$1" 3</dev/null', process.execPath, app.entryFile];
    const tree = app.spawn({ LISTEN_FDS: '1', LISTEN_FDNAMES: 'http' }, { node: '/bin/sh', entry: '-c', args });
    await tree.waitForLine(/file descriptor 3 \(http\), which was passed by LISTEN_FDS, is no listening stream socket/);
    assert.equal((await tree.end()).code, 69);
  });
});

interface Held extends net.Server {
  getsockname(into: { port?: number }): void;
}

/** A bound socket on which this process does not accept, as systemd does not. Only Node itself calls this function. */
function held(address: string, port: number, family: number): Held {
  const made = net as unknown as { _createServerHandle(address: string, port: number, family: number): Held };
  return made._createServerHandle(address, port, family);
}
