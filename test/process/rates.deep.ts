import assert from 'node:assert/strict';
import { recordStarts } from '../job/starts';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { useJobsApp } from './jobs-app';

const KEYS = ['a', 'b'];
/** As the class says. */
const LIMIT = 10;
const BURST = 2;
const SPAN_MS = 60_000;
/** So many take longer than that, since burst and one more start at once. */
const OF_EACH = (LIMIT * SPAN_MS) / 1000 + BURST + 2;

describe('a rate of ten a second for each key, over three trees', () => {
  const app = useJobsApp();

  it('is exceeded in no sliding second of a minute, although a processor is killed and Redis is emptied', async function () {
    this.timeout(SPAN_MS + 3 * WAIT_LIMIT_MS);
    const starts = await recordStarts(app.database);
    const trees: Tree[] = [];
    for (let n = 0; n < 3; n++) trees.push(await app.start({}, { via: 'npm' }));
    const [first = assert.fail(), second = assert.fail()] = trees;
    assert.equal((await first.request('POST', `/rated?keys=${KEYS}&count=${OF_EACH}`)).status, 202);
    const ran = () => app.entries().filter(({ number }) => number !== undefined);
    const ranOnAll = () => new Set(ran().map(({ pid }) => pid)).size >= trees.length;
    await until('some have run on each tree', () => ranOnAll() && ran().length > OF_EACH / 4);
    process.kill(second.processes().jobs ?? assert.fail(), 'SIGKILL');
    await until('more have run', () => ran().length > OF_EACH / 2);
    await app.redis.restart({ wipe: true });
    const left = async () => (await app.unfinished()).length;
    await until('all have run', async () => (await left()) === 0, { timeoutMs: SPAN_MS + WAIT_LIMIT_MS });
    for (const key of KEYS) {
      const at = await starts(`RatedJob:${key}`);
      // One that was cut off starts twice.
      assert.ok(at.length >= OF_EACH, `${at.length} started`);
      const inSecond = at.map((from) => at.filter((ms) => ms >= from && ms < from + 1000).length);
      assert.ok(Math.max(...inSecond) <= LIMIT + BURST, `${Math.max(...inSecond)} started in a second`);
      const span = (at.at(-1) ?? 0) - (at[0] ?? 0);
      assert.ok(span >= SPAN_MS, `it took ${span} ms`);
    }
  });
});
