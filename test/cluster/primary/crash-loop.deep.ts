import assert from 'node:assert/strict';
import { Load } from '../../support/load';
import { sized } from '../../support/long-form';
import type { Line } from '../../support/output';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

/** Number of deaths in a row that make a crash loop. */
const CIRCUIT = 5;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 30_000;
const AGAIN = /job processor restarts in ([\d,]+) ms/;

const waitMs = (line: Line | undefined) => Number(AGAIN.exec(line?.text ?? '')?.[1]?.replaceAll(',', ''));

const workerPids = async (tree: Tree) => (await statsOf(tree)).worker_status.map(({ pid }) => pid);

const timeOf = (line: Line | undefined) => Date.parse(String(line?.json.time));

/**
 * Compares the medians: on a busy machine with two cores the tail depends on other processes.
 * @returns both figures as text, for the title.
 */
function assertNoSlower(times: readonly number[], before: readonly number[]): string {
  const [now = 0, then = 0] = [times, before].map(
    (some) => some.toSorted((a, b) => a - b)[Math.floor(some.length / 2)] ?? 0,
  );
  const figures = `a response took ${now.toFixed(1)} ms, before ${then.toFixed(1)} ms`;
  assert.ok(now <= 2 * then, figures);
  return figures;
}

/**
 * How long the web is watched while the processor dies. In the long form the web has to be as fast as before, and the processor
 * back at once.
 */
const { ms, measured } = sized({ ms: 0, measured: false }, { ms: 60_000, measured: true });

describe(`a job processor that dies again and again, for ${ms / 1000} s`, () => {
  const app = useSupervisorApp();
  let tree: Tree;
  before(async () => {
    tree = await app.start({ WEB_CONCURRENCY: '1', LOG_LEVEL: 'debug' });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
  });

  it('does not affect the web; its restarts back off, and /ready and stats report it', async function () {
    const gateway = new Load(tree.baseUrl, 8, () => '/slow?ms=20', { routed: true, whenRefused: 'try again' });
    try {
      await gateway.more(measured ? 300 : 30);
      const before = gateway.times.splice(0);
      const mend = app.switchOn('jobs-crash');
      // A phased restart would keep the healthy processor.
      await assert.rejects(
        order(tree, 'restart'),
        /the job processor cannot boot: it exited with code 7\. None is left/,
      );
      await dies();
      await gateway.more(30);
      mend();
      if (measured) this.runnable().title += `: ${assertNoSlower(gateway.times, before)}`;
    } finally {
      await gateway.stop();
    }
    assert.deepEqual(gateway.failures, {});
  });

  async function dies(): Promise<void> {
    const begun = performance.now();
    const open = async () => (await statsOf(tree)).job_processor.state === 'crash_loop';
    await until('it is in a crash loop', open);
    for (const of of ['the worker', 'its successor']) {
      const ready = await tree.request('GET', '/ready');
      const stalled = { broken: ['jobs'], jobs: 'stalled', reason: 'the job processor is not running' };
      assert.equal(ready.status, 200);
      assert.deepEqual(ready.json(), { status: 'degraded', app: 'supervised', ...stalled }, of);
      if (of === 'the worker') await order(tree, 'recycle', 0);
    }
    const workers = await workerPids(tree);
    await until('the time is over', () => performance.now() - begun > ms, { timeoutMs: ms + 1000 });
    // The processor that the restart ended was healthy, so the first delay follows the first crash.
    const waits = tree.linesMatching(AGAIN).map(waitMs);
    assert.ok(waits.length >= CIRCUIT);
    assert.deepEqual(
      waits,
      waits.map((_, n) => Math.min(FIRST_WAIT_MS * 2 ** n, LONGEST_WAIT_MS)),
    );
    assert.deepEqual(await workerPids(tree), workers);
  }

  it('is brought back at once by a phased restart when the fault is repaired', async () => {
    const from = tree.lines.length;
    await order(tree, 'phased-restart');
    const forked = await tree.waitForLine(/job processor \(pid \d+\) forked/, { from });
    if (measured) {
      const phase = await tree.waitForLine(/phase \d+ completed/, { from });
      const [waiting] = tree.linesMatching(AGAIN).slice(-1);
      const end = timeOf(waiting) + waitMs(waiting);
      // Its back-off may end before the workers have been replaced.
      assert.ok(timeOf(forked) < end || timeOf(phase) >= end, `${timeOf(forked) - timeOf(phase)} ms after them`);
    }
    const healthy = async () => (await tree.request('GET', '/ready')).json().status === 'ok';
    await until('/ready reports ok', healthy);
    const processor = await until('stats report it as ready', async () => {
      const { job_processor } = await statsOf(tree);
      return job_processor.state === 'ready' && job_processor;
    });
    assert.ok(processor.restarts >= CIRCUIT);
  });

  it('loses no request of the web when a job kills it', async () => {
    const from = tree.lines.length;
    const { failures } = await Load.during(new Load(tree.baseUrl, 4, () => '/slow?ms=20'), async (load) => {
      assert.equal((await tree.request('POST', '/crash-job')).status, 202);
      await tree.waitForLine(/job processor \(pid \d+\) exited with code 9/, { from });
      await load.more(30);
    });
    assert.deepEqual(failures, {});
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});
