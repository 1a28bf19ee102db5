import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { Chores } from './chores';

/** Two jobs of a tree that is gone run elsewhere by then, ms. */
const TAKEN_OVER_MS = 30_000;
const BATCHES = 10;
const PER_BATCH = 50;

describe('two trees on one Redis and one Postgres', () => {
  let chores: Chores;
  let living: Tree;
  before(async () => {
    chores = await Chores.make();
  });
  after(() => chores.remove());

  const post = async (tree: Tree, target: string) => assert.equal((await tree.request('POST', target)).status, 202);

  it('one is killed with two jobs in hand: they run on the other within 30 s, no attempt burnt', async () => {
    const doomed = await chores.start();
    await post(doomed, '/long?name=straight');
    await post(doomed, '/long?name=outbox');
    await until('it holds both', () => chores.longs().length === 2);
    living = await chores.start({ JOB_CONCURRENCY: '4' });
    await living.waitForLine(/job processor is ready/);
    // As a machine goes: all at once, the processor too, before it can notice.
    const { jobs, all } = doomed.processes();
    for (const pid of [jobs, ...all.map((row) => row.pid)]) if (pid !== undefined) killNow(pid);
    const since = performance.now();
    await until('both run on the other', () => chores.longs().length === 4);
    const tookMs = performance.now() - since;
    assert.ok(tookMs < TAKEN_OVER_MS, `it took ${Math.round(tookMs)} ms`);
    const again = chores.longs().slice(2);
    assert.deepEqual(again.map(({ long, attempt }) => [long, attempt]).sort(), [
      ['outbox', 1],
      ['straight', 1],
    ]);
    assert.deepEqual([...new Set(again.map(({ pid }) => pid))], [living.processes().jobs]);
  });

  it('each job is run once, by the one or the other', async () => {
    const second = await chores.start();
    await second.waitForLine(/job processor is ready/);
    for (let batch = 0; batch < BATCHES; batch++) {
      const from = batch * PER_BATCH;
      await post(batch % 2 === 0 ? living : second, `/chores?from=${from}&count=${PER_BATCH}`);
    }
    const done = () => chores.entries().filter(({ chore }) => chore !== undefined);
    const wanted = BATCHES * PER_BATCH;
    await until('all chores are done', () => done().length >= wanted);
    // The long ones are still running.
    const settled = async () => (await chores.inOutbox()).every((name) => name === 'LongJob');
    await until('their rows are gone', settled);
    const numbers = done().map(({ chore = -1 }) => chore);
    assert.deepEqual(
      numbers.sort((a, b) => a - b),
      Array.from({ length: wanted }, (_, number) => number),
    );
    assert.equal(new Set(done().map(({ pid }) => pid)).size, 2, 'both had their share');
    await second.stop();
  });

  it('each tick of the clock is enqueued once, whoever lives', async () => {
    const ticks = () => chores.entries().flatMap(({ tick }) => (tick === undefined ? [] : [tick]));
    const { length } = ticks();
    await until('some more have run', () => ticks().length >= length + 3);
    assert.ok(length > 5, `${length} ticks so far`);
    assert.deepEqual([...new Set(ticks())], ticks());
  });
});

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is among those that were killed already.
  }
}
