import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { assertOneMailEach, SignUpStream } from './sign-ups';
import { Surroundings } from './surroundings';

const AT_ONCE = 2;

describe('kill -9 of a web worker', () => {
  let around: Surroundings;
  let tree: Tree;
  before(async () => {
    around = await Surroundings.make();
    tree = await around.start();
  });
  after(() => around.remove());

  it('costs at most what it had in flight: sign-ups go on, it is replaced, every mail arrives', async () => {
    const stream = new SignUpStream(tree, AT_ONCE);
    await stream.more(10);
    for (const slot of [0, 1]) {
      const pid = tree.processes().web.get(slot) ?? 0;
      process.kill(pid, 'SIGKILL');
      await stream.more(10);
      await tree.waitForLine(new RegExp(`worker ${slot} is ready, pid (?!${pid}\\b)`));
      await stream.more(10);
    }
    await stream.stop();
    assert.ok(stream.failures.length <= 2 * AT_ONCE, `failures: ${stream.failures}`);
    assert.ok(
      stream.failures.every((failure) => failure === 'ECONNRESET'),
      `failures: ${stream.failures}`,
    );
    await assertOneMailEach(around);
    const users = new Set(await around.users());
    assert.deepEqual(
      stream.accepted.filter((email) => !users.has(email)),
      [],
    );
  });

  it('touches neither the job processor nor the number of workers', async () => {
    assert.equal(tree.linesMatching(/job processor is ready/).length, 1);
    assert.deepEqual([...tree.processes().web.keys()], [0, 1]);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});
