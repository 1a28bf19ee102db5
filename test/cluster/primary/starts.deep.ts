import assert from 'node:assert/strict';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('the start of a tree', () => {
  const app = useSupervisorApp();

  const processorIs = (tree: Tree, state: string) =>
    until(`the processor is ${state}`, async () => (await statsOf(tree)).job_processor.state === state);

  it('whose web is slow to boot obeys commands for its jobs meanwhile, and the pretty log prefixes printed lines', async () => {
    const mend = app.switchOn('slow-boot');
    const tree = app.spawn({ LOG_FORMAT: 'pretty', WEB_CONCURRENCY: '1' });
    await until('the control socket answers', () => statsOf(tree).catch(() => undefined));
    await order(tree, 'jobs quiet');
    await processorIs(tree, 'quiet');
    assert.deepEqual(tree.linesMatching(/Listening on/), []);
    await order(tree, 'jobs resume');
    await processorIs(tree, 'ready');
    mend();
    await tree.ready();
    await tree.request('GET', '/print?text=hello');
    const { text } = await tree.waitForLine(/hello$/);
    assert.match(text, /\[primary\] web\.0: hello$/);
    assert.equal((await tree.stop()).code, 0);
  });

  it('serves, and runs jobs, only after the app has passed its check', async () => {
    const pass = app.switchOn('slow-check');
    const tree = app.spawn({ WEB_CONCURRENCY: '1' });
    await tree.waitForLine(/worker 0 \(pid \d+\) is ready/);
    await order(tree, 'jobs quiet');
    await order(tree, 'jobs resume');
    assert.equal((await statsOf(tree)).job_processor.pid, null);
    assert.deepEqual(tree.linesMatching(/Listening on/), []);
    pass();
    await tree.ready();
    await processorIs(tree, 'ready');
    assert.equal((await tree.request('POST', '/waiting-job?name=fetched&flag=none')).status, 202);
    await tree.waitForLine(/WaitingJob done/);
    assert.equal((await tree.stop()).code, 0);
  });

  it('loads the other workers and the job processor once the first worker serves', async () => {
    const tree = app.spawn({ WEB_CONCURRENCY: '2' });
    await tree.ready();
    await processorIs(tree, 'ready');
    const ready = tree.linesMatching(/is ready after/).map(({ text }) => /(worker \d|job processor)/.exec(text)?.[0]);
    assert.deepEqual([ready[0], ready.slice(1).sort()], ['worker 0', ['job processor', 'worker 1']]);
    assert.equal((await tree.stop()).code, 0);
  });

  it('gives the job processor WORKER_BOOT_TIMEOUT to boot before it is killed', async () => {
    const mend = app.switchOn('slow-jobs');
    const env = { WORKER_TIMEOUT: '1s', WORKER_BOOT_TIMEOUT: '4s' };
    const tree = app.spawn(env, { args: ['--only', 'jobs'] });
    const { text } = await tree.waitForLine(/killed job processor.*not ready after/);
    await tree.waitForLine(/The app was not checked: it had not loaded after 4 s/);
    assert.ok(Number(/not ready after ([\d.]+) s/.exec(text)?.[1]) >= 4, text);
    mend();
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
  });

  it('ignores messages that the app sends while it is checked, and does not wait for a process that the app started', async () => {
    const mend = app.switchOn('helper');
    const tree = app.spawn({ WORKER_BOOT_TIMEOUT: '4s', WEB_CONCURRENCY: '1' });
    await tree.ready();
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    assert.equal((await tree.stop()).code, 0);
    mend();
  });

  it('right after the stop of its predecessor has begun waits for its end, and says so', async () => {
    const mend = app.switchOn('hold');
    const first = await app.start({ WEB_CONCURRENCY: '1' });
    const { port } = new URL(first.baseUrl);
    const held = first.request('GET', '/held');
    await until('the request is held', async () => {
      const { worker_status } = await statsOf(first);
      return worker_status.some(({ last_status }) => last_status.busy_threads === 1);
    });
    const stopped = first.stop();
    await first.waitForLine(/stopping within/);
    const next = app.spawn({ WEB_CONCURRENCY: '1', PORT: port }, { cwd: first.cwd });
    const { text } = await next.waitForLine(/is stopping: waiting for its end/);
    assert.match(text, new RegExp(`the tree that ran here, pid ${first.pid}, is stopping`));
    assert.equal(first.hasExited, false);
    mend();
    await held;
    assert.equal((await stopped).code, 0);
    await next.ready();
    assert.equal(new URL(next.baseUrl).port, port);
    assert.equal((await next.stop()).code, 0);
  });
});
