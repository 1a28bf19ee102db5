import assert from 'node:assert/strict';
import { until } from '../support/until';
import { Chores } from './chores';

const TIMEOUT_S = 8;

describe('SIGTERM to a tree with two jobs of a minute in hand', () => {
  let chores: Chores;
  before(async () => {
    chores = await Chores.make();
  });
  after(() => chores.remove());

  const post = async (name: string, tree: Awaited<ReturnType<Chores['start']>>) =>
    assert.equal((await tree.request('POST', `/long?name=${name}`)).status, 202);

  it('it exits in time, and both run again at once when it is started anew, no attempt burnt', async () => {
    const env = { SHUTDOWN_TIMEOUT: `${TIMEOUT_S}s` };
    const tree = await chores.start(env);
    await post('straight', tree);
    await post('outbox', tree);
    await until('both run', () => chores.longs().length === 2);
    const { code, durationMs } = await tree.stop();
    await tree.allGone();
    assert.equal(code, 0, 'nobody had to be killed');
    assert.ok(durationMs < TIMEOUT_S * 1000, `it took ${durationMs} ms`);
    assert.equal(tree.linesMatching(/LongJob .*(back|return)/i).length, 2);

    const next = await chores.start(env);
    await next.waitForLine(/job processor is ready/);
    await until('both run again', () => chores.longs().length === 4);
    assert.deepEqual(
      chores
        .longs()
        .slice(2)
        .map(({ long, attempt }) => [long, attempt])
        .sort(),
      [
        ['outbox', 1],
        ['straight', 1],
      ],
    );
    assert.equal((await next.stop()).code, 0);
    await next.allGone();
    assert.equal(chores.longs().length, 4);
  });
});
