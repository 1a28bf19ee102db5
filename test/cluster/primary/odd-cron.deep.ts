import assert from 'node:assert/strict';
import { Stage } from './stage';

describe('a recurring job whose time makes no sense', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
    stage.spoil('odd-cron');
  });
  after(() => stage.remove());

  it('refuses the start of the tree, and names the class and what it was given', async () => {
    const tree = stage.spawn();
    const { code } = await tree.end();
    assert.equal(code, 78);
    const errors = tree.lines.filter(({ stream }) => stream === 'stderr').map(({ text }) => text);
    assert.match(errors.join('\n'), /Catamount cannot start: FragileJob: .*61 \* \* \* \*/);
    assert.deepEqual(tree.leftovers(), []);
  });
});
