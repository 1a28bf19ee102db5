import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { listeningAddresses } from '../../support/listening-addresses';
import { serverPort } from '../../support/server-port';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { catamount, order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

interface CpuProfile {
  readonly nodes: readonly {
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
}

const SOURCES = path.resolve(__dirname, '../../fixtures/supervisor-app');
/** Where the method begins that blocks. */
const SPIN_LINE = fs
  .readFileSync(path.join(SOURCES, 'jobs/blocking.ts'), 'utf8')
  .split('\n')
  .findIndex((line) => line.includes('private spin()'));

describe('profiles of a tree', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  const start = async (env: Readonly<Record<string, string>>) => {
    const PORT = String(await serverPort());
    tree = await app.start({ PORT, WEB_CONCURRENCY: '1', ...env });
  };
  const kept = () => fs.readdirSync(path.join(tree.cwd, '.catamount/profiles'));
  const modeOf = (file: string) => (fs.statSync(file).mode & 0o777).toString(8);
  const read = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8')) as CpuProfile;
  const framesOf = (file: string) =>
    read(file).nodes.map(
      ({ callFrame: { functionName, url, lineNumber } }) =>
        `${functionName} ${url.replace('file://', '')}:${lineNumber}`,
    );
  const workerPid = async () => (await statsOf(tree)).worker_status[0]?.pid ?? assert.fail();

  it('name function, file and line of a job in an endless loop, of which one is taken by itself', async () => {
    await start({ SHUTDOWN_TIMEOUT: '2s' });
    assert.equal((await tree.request('POST', '/blocking-job')).status, 202);
    const pid = (await until('the job runs', () => app.notes('jobs').find(({ job }) => job === 'blocking')))
      .pid as number;
    await until('it counts as blocked', async () => ((await statsOf(tree)).job_processor.heartbeat_age_ms ?? 0) > 2000);
    const out = path.join(tree.cwd, 'loop.cpuprofile');
    const { code, stdout, stderr } = await catamount(tree.cwd, 'profile', 'processor', '--seconds', '1', '--out', out);
    assert.deepEqual([code, stdout], [0, `${out}\n`], stderr);
    const spin = `spin ${SOURCES}/jobs/blocking.ts:${SPIN_LINE}`;
    assert.ok(
      framesOf(out).includes(spin),
      framesOf(out)
        .filter((frame) => frame.includes('blocking'))
        .join('\n'),
    );
    assert.equal(modeOf(out), '600');
    await until('its inspector is closed', () => listeningAddresses(pid).length === 0);
    const again = await catamount(tree.cwd, 'profile', 'processor', '--out', out);
    assert.deepEqual([again.code, again.stderr], [64, `--out: ${out} exists. Name a new file.\n`]);

    const automatic = () => kept().filter((name) => name.endsWith('-lag.cpuprofile'));
    await tree.waitForLine(/job processor \(pid \d+\) lags: for 10 s/);
    await until('one is taken by itself', () => automatic().length === 1);
    const file = path.join(tree.cwd, '.catamount/profiles', automatic()[0] ?? '');
    assert.ok(framesOf(file).includes(spin));
    await tree.waitForLine(/took a CPU profile of job processor \(pid \d+\), which lagged/);
    // A worker that lags within the hour gets none.
    const cut = tree.request('GET', '/block').catch((error: NodeJS.ErrnoException) => error.code);
    await tree.waitForLine(/worker 0 \(pid \d+\) lags: for 10 s/);
    await order(tree, 'profile', await workerPid(), 1);
    assert.equal(automatic().length, 1);
    await tree.stop();
    assert.equal(await cut, 'ECONNRESET');
  });

  it('are taken of idle workers and of the primary, and their heap snapshots, one at a time', async () => {
    await start({ JOB_PROCESSOR: '0' });
    const pid = await workerPid();
    const { stdout, code } = await catamount(tree.cwd, 'heap-snapshot', 'worker', '0');
    assert.equal(code, 0);
    const { snapshot, nodes, strings } = JSON.parse(fs.readFileSync(stdout.trim(), 'utf8'));
    assert.equal(nodes.length, snapshot.node_count * snapshot.meta.node_fields.length);
    assert.ok(
      strings.some((text: string) => text === 'this route blocks the worker' || text.includes('supervisor-app')),
    );
    assert.deepEqual([modeOf(stdout.trim()), modeOf(path.dirname(stdout.trim()))], ['600', '700']);
    await until('its inspector is closed', () => listeningAddresses(pid).length === 0);
    const long = order(tree, 'profile', tree.pid, 2);
    await until('it has begun', () => kept().some((name) => name.endsWith('.cpuprofile.part')));
    await assert.rejects(
      order(tree, 'profile', pid, 1),
      /one at a time: the CPU profile of primary \(pid \d+\) is being taken/,
    );
    const { file, process: name } = await long;
    assert.equal(name, 'primary');
    assert.ok(read(String(file)).nodes.length > 1);
    const heap = await order(tree, 'heap-snapshot', tree.pid);
    assert.ok(JSON.parse(fs.readFileSync(String(heap.file), 'utf8')).snapshot.node_count > 1000);
    assert.equal((await tree.request('GET', '/slow')).status, 200);
    await assert.rejects(order(tree, 'profile', 1, 1), /pid 1 is no process of this tree/);
    await assert.rejects(order(tree, 'profile', pid, 61), /takes 1 to 60 seconds, not 61/);
    const unnamed = await catamount(tree.cwd, 'profile', 'worker', '7');
    assert.deepEqual(
      [unnamed.code, unnamed.stderr],
      [64, 'profile needs a process, not "worker 7": a pid, or primary, worker 0.\n'],
    );
    assert.equal((await tree.stop()).code, 0);
  });

  it('say why there is none of a process that is killed, that exits, or that is asked to stop meanwhile', async () => {
    await start({ JOB_PROCESSOR: '0' });
    const during = async (end: (pid: number) => unknown, reason: RegExp) => {
      await until('a worker is ready', async () => (await statsOf(tree)).booted_workers === 1);
      const pid = await workerPid();
      const taken = assert.rejects(order(tree, 'profile', pid, 60), reason);
      await until('it has begun', () => listeningAddresses(pid).length === 1);
      await until('it is recorded', () => kept().length === 1);
      await end(pid);
      await taken;
      assert.deepEqual(kept(), []);
    };
    await during((pid) => process.kill(pid, 'SIGKILL'), /no CPU profile of worker 0 .*: it was ended by SIGKILL/);
    const crash = () => tree.request('GET', '/crash').catch(() => undefined);
    await during(crash, /no CPU profile of worker 0 .*: it exited with code 3/);
    await during(() => order(tree, 'phased-restart'), /no CPU profile of worker 0 .*: it was asked to stop meanwhile/);
    assert.equal((await tree.stop()).code, 0);
    assert.deepEqual(tree.linesMatching(/Waiting for the debugger/), []);
  });
});
