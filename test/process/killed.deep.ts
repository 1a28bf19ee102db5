import assert from 'node:assert/strict';
import { createClient } from 'redis';
import { PROCESSES } from '../../lib/job/hint/keys';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { assertOneMailEach, SignUpStream, signUpMany } from './sign-ups';

const AT_ONCE = 2;

describe('kill -9 in a tree in production', () => {
  const deployment = useDeployment();
  let tree: Tree;
  before(async () => {
    tree = await deployment.start();
  });

  it('of a web worker loses only what it had in flight: it is replaced, sign-ups continue, and every mail arrives', async () => {
    const stream = new SignUpStream(tree, AT_ONCE);
    await stream.more(10);
    for (const slot of [0, 1]) {
      const pid = tree.processes().web.get(slot) ?? 0;
      process.kill(pid, 'SIGKILL');
      await stream.more(10);
      await tree.waitForLine(new RegExp(`worker ${slot} \\(pid (?!${pid}\\b)\\d+\\) is ready`));
      await stream.more(10);
    }
    await stream.stop();
    assert.ok(stream.failures.length <= 2 * AT_ONCE, `failures: ${stream.failures}`);
    assert.deepEqual(
      stream.failures.filter((failure) => failure !== 'ECONNRESET'),
      [],
    );
    await assertOneMailEach(deployment);
    const users = new Set(await deployment.users());
    assert.deepEqual(
      stream.accepted.filter((email) => !users.has(email)),
      [],
    );
    assert.equal(tree.linesMatching(/job processor \(pid \d+\) is ready/).length, 1);
    assert.deepEqual([...tree.processes().web.keys()], [0, 1]);
  });

  it('of the job processor: its successor rescues its jobs and takes it off the list, the web is not affected, and each user gets one mail', async () => {
    const redis = await createClient({ url: deployment.redis.url }).connect();
    try {
      const listed = () => redis.zRange(PROCESSES, 0, -1);
      const dead = await until('the processor is listed', async () => (await listed())[0]);
      const pid = await onlyProcessor(tree);
      const web = tree.processes().webPids;
      deployment.sink.hold();
      await signUpMany(tree, 2);
      await until('it has two mails in flight', () => deployment.sink.waiting === 2);
      process.kill(pid, 'SIGKILL');
      await tree.waitForLine(/job processor \(pid \d+\) was killed by SIGKILL/);
      // The server had not answered when the connections broke, so it has not accepted these mails.
      deployment.sink.discard();
      await signUpMany(tree, 2);
      // Those that rescue its jobs later, when it has been silent for long, would leave it listed until then.
      await until('only the successor is listed', async () => {
        const identities = await listed();
        return identities.length === 1 && identities[0] !== dead;
      });
      await assertOneMailEach(deployment);
      assert.equal(tree.linesMatching(/rescued a job of queue \w+ from a process that died/).length, 2);
      assert.notEqual(await onlyProcessor(tree), pid);
      assert.deepEqual(tree.processes().webPids, web);
    } finally {
      redis.destroy();
    }
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});

function onlyProcessor(tree: Tree): Promise<number> {
  return until('there is exactly one processor', () => {
    const jobs = tree.processes().all.filter(({ command }) => command.startsWith('catamount: jobs'));
    const [one, another] = jobs;
    return one && !another ? one.pid : undefined;
  });
}
