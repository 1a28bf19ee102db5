import assert from 'node:assert/strict';
import { until } from '../support/until';
import { order, statsOf } from './operator';
import { Stage } from './stage';

describe('a tree that starts', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
  });
  after(() => stage.remove());

  it('has its web first, and the job processor behind it', async () => {
    const tree = await stage.start();
    await tree.waitForLine(/job processor is ready/);
    const texts = tree.lines.map(({ text }) => text);
    const at = (pattern: RegExp) => texts.findIndex((text) => pattern.test(text));
    assert.ok(at(/Listening on/) < at(/job processor is ready/), texts.join('\n'));
  });

  it('runs jobs though its web is slow, and heeds what was ordered of them before', async () => {
    const mend = stage.spoil('slow-boot');
    try {
      const tree = stage.spawn();
      await until('it can be asked', () => statsOf(tree).catch(() => undefined));
      await order(tree, 'jobs quiet');
      await until('the processor is there', async () => (await statsOf(tree)).job_processor.state === 'quiet');
      assert.deepEqual(tree.linesMatching(/Listening on/), []);
      await order(tree, 'jobs resume');
      await until('it is open', async () => (await statsOf(tree)).job_processor.state === 'ready');
      mend();
      await tree.waitForLine(/Listening on/);
      assert.equal((await tree.stop()).code, 0);
    } finally {
      mend();
    }
  });

  it('gives its job processor the time of a start before it counts its silence', async () => {
    const mend = stage.spoil('slow-jobs');
    try {
      const tree = await stage.start({ WORKER_TIMEOUT: '1s', WORKER_BOOT_TIMEOUT: '8s' });
      const { text } = await tree.waitForLine(/job processor, pid \d+, was not heard of for/);
      const seconds = Number(/not heard of for ([\d.]+) s/.exec(text)?.[1]);
      assert.ok(seconds >= 8, text);
      mend();
      await tree.waitForLine(/job processor is ready/);
      assert.equal((await tree.stop()).code, 0);
    } finally {
      mend();
    }
  });
});
