import assert from 'node:assert/strict';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { SIGNED } from '../ops/ops-web';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { WalkRecorder } from './walk';

/** The number of our files that a job may enter in the processor: a reader who follows it opens no more. */
const MAX_FILES = 16;

describe('the walk of a job', () => {
  const folder = tempFolder('walks');
  const app = useSupervisorApp();
  let tree: Tree;
  let walks: WalkRecorder;
  before(async () => {
    walks = new WalkRecorder(folder);
    tree = await app.start({ ...walks.env, ...SIGNED });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    await until('all have their titles', () => tree.processes().jobs && tree.processes().web.get(0));
  });
  after(() => removeFolder(folder));

  it('is short', async () => {
    const run = async (name: string) => {
      const from = tree.lines.length;
      assert.equal((await tree.request('POST', `/waiting-job?name=${name}&flag=none`)).status, 202);
      await tree.waitForLine(/WaitingJob done/, { from });
    };
    await run('first');
    const files = await walks.walk(tree, 'jobs', (n) => run(`job-${n}`));
    assert.ok(files.length > 5, `it enters ${files.join(', ')} only: was it done at all?`);
    assert.ok(files.length <= MAX_FILES, `it enters ${files.length} files:\n${files.join('\n')}`);
  });
});
