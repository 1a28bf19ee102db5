import assert from 'node:assert/strict';
import { useSupervisorApp } from './supervisor-app';

describe('a recurring job with an invalid cron expression', () => {
  const app = useSupervisorApp();
  before(async () => {
    app.switchOn('odd-cron');
  });

  it('keeps the tree from starting, and the error names the class and the expression', async () => {
    const tree = app.spawn();
    const { code } = await tree.end();
    assert.equal(code, 78);
    const errors = tree.lines.filter(({ stream }) => stream === 'stderr').map(({ text }) => text);
    assert.match(errors[0] ?? '', /^Catamount cannot start the app as it is/);
    const mistakes = errors.filter((line) => line.includes('61 * * * *'));
    assert.equal(mistakes.length, 1, errors.join('\n'));
    assert.match(mistakes[0] ?? '', /jobs\/fragile\.[jt]s: FragileJob: cron is '61 \* \* \* \*'/);
    assert.deepEqual(tree.leftovers(), []);
  });
});
