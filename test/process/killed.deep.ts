import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Deadline } from '../../lib/support/deadline';
import { listProcesses } from '../../lib/tree/processors';
import { inSuite } from '../support/suite';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { assertOneMailEach, SignUpStream, signUpMany } from './sign-ups';

const AT_ONCE = 2;
/** A processor that is silent for this long counts as dead. */
const SILENT_MS = 25_000;

describe('kill -9 in a tree in production', () => {
  const deployment = useDeployment();
  const tree = inSuite(undefined, () => deployment.start());

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

  it('of the job processor: its successor rescues its jobs and takes its place on the list, the web is not affected, and each user gets one mail', async () => {
    const redis = new Redis(deployment.redis.url, new Events());
    await redis.start();
    try {
      await until('Redis is connected', () => redis.client.isReady);
      const listed = async () => (await listProcesses(redis.client)).map(({ pid }) => pid);
      const pid = await onlyProcessor(tree);
      await until('the processor is listed', async () => (await listed()).includes(pid));
      const web = tree.processes().webPids;
      deployment.sink.hold();
      await signUpMany(tree, 2);
      await until('it has two mails in flight', () => deployment.sink.waiting === 2);
      process.kill(pid, 'SIGKILL');
      const killedAt = performance.now();
      await tree.waitForLine(/job processor \(pid \d+\) was killed by SIGKILL/);
      // The server had not answered when the connections broke, so it has not accepted these mails.
      deployment.sink.discard();
      await signUpMany(tree, 2);
      const rescued = () => tree.linesMatching(/rescued a job of queue \w+ from a process that died/).length;
      await until('its jobs are rescued', () => rescued() === 2);
      assert.ok(performance.now() - killedAt < SILENT_MS, 'they are rescued before it has been silent for long');
      await until('only the successor is listed', async () => {
        const [successor, ...others] = await listed();
        return others.length === 0 && successor === (await onlyProcessor(tree));
      });
      await assertOneMailEach(deployment);
      assert.equal(rescued(), 2);
      assert.notEqual(await onlyProcessor(tree), pid);
      assert.deepEqual(tree.processes().webPids, web);
    } finally {
      await redis.stop(Deadline.after(1000));
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
