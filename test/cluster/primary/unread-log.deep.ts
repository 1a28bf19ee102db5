import assert from 'node:assert/strict';
import { useSupervisorApp } from './supervisor-app';

describe('a tree whose standard output is not read', () => {
  const app = useSupervisorApp();

  it('keeps serving, logs how many lines it had to drop, and stops', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    const goOn = tree.stopReading();
    // A line has some 300 bytes, so these are more than the pipe and the log's buffer hold.
    for (let n = 0; n < 60; n++) {
      const answers = await Promise.all(Array.from({ length: 100 }, () => tree.request('GET', '/slow')));
      assert.ok(answers.every(({ status }) => status === 200));
    }
    const from = tree.lines.length;
    goOn();
    await tree.waitForLine(/dropped [1-9][\d,]* log lines?:/, { from });
    tree.stopReading();
    for (let n = 0; n < 10; n++) await Promise.all(Array.from({ length: 100 }, () => tree.request('GET', '/slow')));
    assert.equal((await tree.stop()).code, 0);
  });
});
