import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Load } from '../../support/load';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { catamount, order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

const CONNECTIONS = 6;

const pidsOf = async (tree: Tree) => (await statsOf(tree)).worker_status.map(({ pid }) => pid);

/** Waits until a new connection without a request is closed, after HEADER_TIMEOUT. */
async function refusedInTime({ baseUrl }: Tree): Promise<void> {
  const { port, hostname } = new URL(baseUrl);
  const socket = net.connect(Number(port), hostname);
  const [answer] = await once(socket, 'data');
  assert.match(String(answer), /^HTTP\/1\.1 408 /);
  socket.destroy();
}

describe('a deploy', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  before(async () => {
    tree = await app.start({ HEADER_TIMEOUT: '5s', KEEP_ALIVE_TIMEOUT: '1h' });
  });
  after(() => agent.destroy());

  const ask = () =>
    new Promise<string>((resolve, reject) => {
      const request = http.get(`${tree.baseUrl}/slow?ms=20`, { agent }, (response) => {
        const kept = request.reusedSocket ? 'kept' : 'new';
        response.resume().on('end', () => resolve(`${response.statusCode} on a ${kept} connection`));
      });
      request.on('error', reject);
    });
  const askByEach = async () => [...new Set(await Promise.all(Array.from({ length: CONNECTIONS }, ask)))];

  it('that cannot boot loses no request under load: the old phase keeps serving, and stats give the reason', async () => {
    const old = await pidsOf(tree);
    const mend = app.switchOn('broken');
    const { failures } = await Load.during(new Load(tree.baseUrl, 10, () => '/slow?ms=20'), async (load) => {
      const typed = await catamount(tree.cwd, 'phased-restart');
      assert.equal(typed.code, 1);
      assert.match(typed.stderr, /worker 0 cannot boot: routes .* cannot be loaded: a broken deploy/);
      await load.more(30);
    });
    assert.deepEqual(failures, {});
    const { phase, old_workers, last_phase } = await statsOf(tree);
    assert.deepEqual([phase, old_workers], [0, 0]);
    assert.deepEqual({ ...last_phase, reason: '' }, { phase: 1, completed: false, reason: '' });
    assert.match(
      String(last_phase?.reason),
      /^worker 0 cannot boot: routes \(\.\/routes\) cannot be loaded: a broken deploy in line \d+ of .*routes\.[jt]s: fix it$/,
    );
    assert.deepEqual(await pidsOf(tree), old);
    mend();
  });

  // A router keeps idle connections. A worker that leaves hands them to another, which may be the next to leave.
  it('that is repaired goes through, and idle keep-alive connections survive it', async () => {
    assert.deepEqual(await askByEach(), ['200 on a new connection']);
    for (let n = 0; n < 2; n++) await order(tree, 'phased-restart');
    assert.equal((await statsOf(tree)).last_phase?.completed, true);
    await refusedInTime(tree);
    assert.deepEqual(await askByEach(), ['200 on a kept connection']);
  });

  it('loses no request under load and leaves no old process; idle connections delay neither it nor a stop', async () => {
    const running = async () => [...(await pidsOf(tree)), (await statsOf(tree)).job_processor.pid];
    const old = await running();
    const { failures } = await Load.during(
      new Load(tree.baseUrl, 10, (n) => `/slow?ms=${20 + (n % 40)}`),
      async (load) => {
        await load.more(30);
        await order(tree, 'phased-restart');
        await load.more(30);
      },
    );
    assert.deepEqual(failures, {});
    assert.deepEqual(
      (await running()).filter((pid) => old.includes(pid)),
      [],
    );
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });

  it('has booted once before the first worker stops, and then stops each worker before its successor starts where memory has no room for both', async () => {
    // Far less than the tree uses: once recycling has not helped, the tree is left alone for a minute.
    tree = await app.start({ MEMORY_LIMIT_MB: '128', LOG_LEVEL: 'debug' });
    await tree.waitForLine(/is recycled/);
    const recycled = async () => (await statsOf(tree)).worker_status.some(({ restarts }) => restarts.memory === 1);
    await until('its successor serves', recycled);
    for (const phase of [1, 2]) {
      const from = tree.lines.length;
      await order(tree, 'phased-restart');
      await tree.waitForLine(new RegExp(`phase ${phase} completed`), { from });
      const changes = tree.lines.slice(from).flatMap(({ text }) => {
        const [, slot, change] = /worker (\d) \(pid \d+\) (forked|stopped)/.exec(text) ?? [];
        return change === undefined ? [] : [`${slot} ${change}`];
      });
      assert.deepEqual(changes, ['0 forked', '0 stopped', '1 stopped', '1 forked'], `phase ${phase}`);
    }
    assert.equal((await tree.stop()).code, 0);
  });
});
