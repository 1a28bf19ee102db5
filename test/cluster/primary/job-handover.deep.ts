import assert from 'node:assert/strict';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { catamount, order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

interface Note extends Readonly<Record<string, unknown>> {
  readonly job: string;
  readonly does: 'begins' | 'ends';
  readonly pid: number;
}

describe('a phased restart while a long job runs', () => {
  const app = useSupervisorApp({ each: true });

  const notes = () => app.notes('jobs').filter((note): note is Note => 'job' in note);
  const said = (name: string, does: Note['does']) => notes().filter((note) => note.job === name && note.does === does);
  const post = async (tree: Tree, name: string, flag = 'none') =>
    assert.equal((await tree.request('POST', `/waiting-job?name=${name}&flag=${flag}`)).status, 202);
  const begins = async (name: string, times = 1) => {
    await until(`${name} begins`, () => said(name, 'begins').length >= times);
    return said(name, 'begins')[times - 1]?.pid ?? 0;
  };
  /** Starts a tree with a job that runs until the test calls `mend`. */
  const withLongJob = async (env: Readonly<Record<string, string>> = {}) => {
    const mend = app.switchOn('hold');
    const tree = await app.start({ WEB_CONCURRENCY: '1', ...env });
    await post(tree, 'long', 'hold');
    return { tree, mend, old: await begins('long') };
  };
  const handedOver = (tree: Tree, old: number) =>
    until('the old processor finishes its job beside its successor', async () => {
      const { job_processor: processor, other_job_processor: other } = await statsOf(tree);
      return other?.pid === old && other.state === 'stopping' && processor.state === 'ready' && processor;
    });

  it('lets the successor run what is enqueued meanwhile, before the long job ends, and stats show both processors', async () => {
    const { tree, mend, old } = await withLongJob();
    const restarted = order(tree, 'phased-restart');
    const { pid } = await handedOver(tree, old);
    await post(tree, 'short');
    assert.equal(await begins('short'), pid, 'the successor alone fetches');
    assert.equal(said('long', 'ends').length, 0, 'the long job runs on');
    const text = (await catamount(tree.cwd, 'stats')).stdout;
    assert.match(text, new RegExp(`^Jobs: +pid ${pid}, ready`, 'm'));
    assert.match(text, new RegExp(`^ +pid ${old}, stopping, 1 running`, 'm'));
    assert.match((await tree.request('GET', '/ready')).body, /"ok"/);
    mend();
    await restarted;
    const { job_processor: processor, other_job_processor: other } = await statsOf(tree);
    assert.deepEqual([processor.pid, processor.restarts, other], [pid, 1, undefined]);
    assert.deepEqual(
      notes().filter(({ job }) => job === 'long'),
      [
        { job: 'long', does: 'begins', pid: old },
        { job: 'long', does: 'ends', pid: old },
      ],
    );
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });

  it('keeps the old processor when its successor cannot boot, and the log, the command and stats say so', async () => {
    const { tree, mend, old } = await withLongJob();
    const repair = app.switchOn('jobs-crash');
    const typed = await catamount(tree.cwd, 'phased-restart');
    assert.equal(typed.code, 1);
    assert.match(typed.stderr, /the job processor cannot boot: it exited with code 7/);
    await tree.waitForLine(
      /the new job processor cannot boot, the old one \(pid \d+\) keeps running: it exited with code 7/,
    );
    await post(tree, 'short');
    assert.equal(await begins('short'), old);
    const { job_processor: processor, other_job_processor: other, last_phase: last } = await statsOf(tree);
    assert.deepEqual([processor.pid, processor.state, processor.restarts, other], [old, 'ready', 0, undefined]);
    assert.deepEqual(last, {
      phase: 1,
      completed: false,
      reason: 'the job processor cannot boot: it exited with code 7',
    });
    repair();
    mend();
    await order(tree, 'phased-restart');
    assert.notEqual((await statsOf(tree)).job_processor.pid, old);
    assert.equal((await tree.stop()).code, 0);
  });

  it('lets the old processor finish first where memory has no room for both', async () => {
    // About what the tree uses. Its worker is recycled first: where that does not help, the tree is left alone for a minute.
    const { tree, mend, old } = await withLongJob({ MEMORY_LIMIT_MB: '128', LOG_LEVEL: 'debug' });
    await tree.request('GET', '/leak?mb=64');
    const alone = async () => {
      const [worker, ...others] = (await statsOf(tree)).worker_status;
      return worker?.restarts.memory === 1 && others.length === 0;
    };
    await until('its worker was recycled', alone);
    const from = tree.lines.length;
    const restarted = order(tree, 'phased-restart');
    await until('the old processor drains', async () => (await statsOf(tree)).job_processor.state === 'stopping');
    assert.equal((await statsOf(tree)).other_job_processor, undefined);
    mend();
    await restarted;
    await tree.waitForLine(/job processor \(pid \d+\) is ready/, { from });
    const changes = tree.lines.slice(from).flatMap(({ text }) => {
      const [, change] = /job processor \(pid \d+\) (forked|stopped)/.exec(text) ?? [];
      return change === undefined ? [] : [change];
    });
    assert.deepEqual(changes, ['stopped', 'forked']);
    assert.notEqual((await statsOf(tree)).job_processor.pid, old);
    assert.equal((await tree.stop()).code, 0);
  });
});
