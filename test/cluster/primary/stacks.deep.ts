import assert from 'node:assert/strict';
import path from 'node:path';
import { serverPort } from '../../support/server-port';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { catamount, order } from './operator';
import { useSupervisorApp } from './supervisor-app';

interface Stacks {
  readonly process: string;
  readonly failure: string | null;
  readonly threads: readonly { readonly thread: string; readonly frames: readonly string[] }[];
}

const SOURCES = path.resolve(__dirname, '../../fixtures/supervisor-app');
const ROUTE = new RegExp(`^at .*\\(?${SOURCES}/routes\\.ts:\\d+:\\d+\\)?$`);
const JOB = new RegExp(`^at BlockingJob\\.spin \\(${SOURCES}/jobs/blocking\\.ts:\\d+:\\d+\\)$`);

describe('the stacks of a tree', () => {
  const app = useSupervisorApp();
  let tree: Tree;
  const start = async (env: Readonly<Record<string, string>>) => {
    const PORT = String(await serverPort());
    tree = await app.start({ PORT, WEB_CONCURRENCY: '2', NODE_OPTIONS: '--enable-source-maps', ...env });
  };

  const frameOf = (stacks: readonly Stacks[], name: string) =>
    stacks.find(({ process }) => process === name)?.threads.find(({ thread }) => thread === 'main thread')?.frames[0];

  it('name file and line of a request and of a job in endless loops: on the terminal, and in the log by SIGPWR', async () => {
    await start({ SHUTDOWN_TIMEOUT: '4s' });
    const from = tree.lines.length;
    assert.equal((await tree.request('POST', '/blocking-job')).status, 202);
    await until('the job runs', () => app.notes('jobs').some(({ job }) => job === 'blocking'));
    const cut = tree.request('GET', '/block').catch((error: NodeJS.ErrnoException) => error.code);
    await tree.waitForLine(/"msg":"it blocks"/, { from });
    // On a busy machine a process may answer too late.
    const stacks = await until('all processes answer', async () => {
      const { stacks: read } = (await order(tree, 'stacks')) as { stacks: Stacks[] };
      return read.every(({ failure }) => failure === null) ? read : undefined;
    });
    assert.equal(stacks.length, 3);
    const workers = ['worker 0', 'worker 1'].flatMap((name) => frameOf(stacks, name) ?? []);
    assert.equal(workers.filter((frame) => ROUTE.test(frame)).length, 1, workers.join());
    assert.match(frameOf(stacks, 'job processor') ?? '', JOB);
    const { stdout } = await until('the command line shows all', async () => {
      const shown = await catamount(tree.cwd, 'stacks');
      return shown.code === 0 && !shown.stdout.includes('cannot be asked') ? shown : undefined;
    });
    assert.match(stdout, /job processor, pid \d+.*\n {2}main thread\n {4}at BlockingJob.spin .*blocking.ts:/);
    const asked = tree.lines.length;
    process.kill(tree.pid, 'SIGPWR');
    await tree.waitForLine(/worker \d \(pid \d+\) runs in its main thread:\\nat .*routes\.ts:\d+/, { from: asked });
    await tree.waitForLine(/job processor \(pid \d+\) runs in its main thread:\\nat BlockingJob.*blocking\.ts:\d+/, {
      from: asked,
    });
    // The stop logs the same of what its deadline kills.
    const stopped = tree.lines.length;
    assert.equal((await tree.stop()).code, 1);
    await tree.waitForLine(/worker \d \(pid \d+\) runs in its main thread:\\nat .*routes\.ts:\d+/, { from: stopped });
    await tree.waitForLine(/job processor \(pid \d+\) runs in its main thread:\\nat BlockingJob/, { from: stopped });
    await tree.waitForLine(/killed worker \d \(pid \d+\): the deadline has passed/, { from: stopped });
    assert.equal(await cut, 'ECONNRESET');
    assert.deepEqual(tree.linesMatching(/Debugger/), []);
  });

  it('are in the log of a worker that is killed because it does not answer', async () => {
    await start({ WORKER_TIMEOUT: '10s', JOB_PROCESSOR: '0' });
    const cut = tree.request('GET', '/block').catch((error: NodeJS.ErrnoException) => error.code);
    await tree.waitForLine(/has sent no heartbeat for/);
    await tree.waitForLine(/worker \d \(pid \d+\) runs in its main thread:\\nat .*routes\.ts:\d+/);
    await tree.waitForLine(/killed worker \d \(pid \d+\): no heartbeat/);
    assert.equal(await cut, 'ECONNRESET');
    await tree.stop();
  });
});
