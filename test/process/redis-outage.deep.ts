import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { assertOneMailEach, SignUpStream, signUpMany } from './sign-ups';

describe('without Redis', () => {
  const deployment = useDeployment();
  let tree: Tree;

  const ready = () => tree.request('GET', '/ready');

  /** Asserts that /ready reports that Redis is missing, and stays 200. */
  async function assertOnlyRedisIsMissed(): Promise<void> {
    const answer = await until('the tree is degraded', async () => {
      const given = await ready();
      return given.json().status === 'degraded' ? given : undefined;
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json().broken, ['redis']);
    assert.equal((await tree.request('GET', '/health')).status, 200);
  }

  async function assertReadyAgain(): Promise<void> {
    await until('the tree has Redis again', async () => (await ready()).json().status === 'ok');
  }

  /** People sign up before, during and after the outage, and none of them is rejected. */
  async function signUpsThrough(outage: (stream: SignUpStream) => Promise<void>): Promise<void> {
    const stream = new SignUpStream(tree, 2);
    await stream.more(10);
    await outage(stream);
    await stream.more(10);
    await stream.stop();
    assert.deepEqual(stream.failures, []);
    await assertReadyAgain();
    await assertOneMailEach(deployment);
    const users = new Set(await deployment.users());
    assert.ok(stream.accepted.every((email) => users.has(email)));
  }

  it('the tree starts, accepts sign-ups and sends their mails, and is ready once Redis is available', async () => {
    await deployment.redis.stop();
    tree = await deployment.start();
    await signUpMany(tree, 10);
    await assertOnlyRedisIsMissed();
    await assertOneMailEach(deployment);
    await deployment.redis.start();
    await assertReadyAgain();
  });

  it('for a while, every sign-up is accepted, mails continue, and every one arrives, none twice', async () => {
    await signUpsThrough(async (stream) => {
      await deployment.redis.stop();
      await stream.more(20);
      await assertOnlyRedisIsMissed();
      await deployment.sink.waitFor(deployment.sink.messages.length + 20);
      await stream.more(20);
      await deployment.redis.start();
    });
  });

  it('and then with an empty one, neither waiting nor running jobs are lost or done twice', async () => {
    await signUpsThrough(async (stream) => {
      deployment.sink.hold();
      await stream.more(20);
      await until('two mails are in flight', () => deployment.sink.waiting === 2);
      await deployment.redis.kill();
      await stream.more(10);
      await deployment.redis.restart({ wipe: true });
      await stream.more(10);
      deployment.sink.release();
    });
  });

  it('while it hangs, sign-ups do not wait for it', async () => {
    await signUpsThrough(async (stream) => {
      deployment.redis.pause();
      await assertOnlyRedisIsMissed();
      await stream.more(20);
      deployment.redis.resume();
    });
  });

  it('no process has died', async () => {
    assert.deepEqual(tree.linesMatching(/was killed by|exited with/), []);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});
