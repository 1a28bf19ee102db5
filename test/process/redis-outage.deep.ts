import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { assertOneMailEach, SignUpStream, signUpMany } from './sign-ups';
import { Surroundings } from './surroundings';

describe('without Redis', () => {
  let around: Surroundings;
  let tree: Tree;
  before(async () => {
    around = await Surroundings.make();
  });
  after(() => around.remove());

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
    await assertOneMailEach(around);
    const users = new Set(await around.users());
    assert.ok(stream.accepted.every((email) => users.has(email)));
  }

  it('the tree starts, accepts sign-ups and sends their mails, and is ready once Redis is available', async () => {
    await around.redis.stop();
    tree = await around.start();
    await signUpMany(tree, 10);
    await assertOnlyRedisIsMissed();
    await assertOneMailEach(around);
    await around.redis.start();
    await assertReadyAgain();
  });

  it('for a while, every sign-up is accepted, mails continue, and every one arrives, none twice', async () => {
    await signUpsThrough(async (stream) => {
      await around.redis.stop();
      await stream.more(20);
      await assertOnlyRedisIsMissed();
      await around.sink.waitFor(around.sink.messages.length + 20);
      await stream.more(20);
      await around.redis.start();
    });
  });

  it('and then with an empty one, neither waiting nor running jobs are lost or done twice', async () => {
    await signUpsThrough(async (stream) => {
      around.sink.hold();
      await stream.more(20);
      await until('two mails are in flight', () => around.sink.waiting === 2);
      await around.redis.kill();
      await stream.more(10);
      await around.redis.restart({ wipe: true });
      await stream.more(10);
      around.sink.release();
    });
  });

  it('while it hangs, sign-ups do not wait for it', async () => {
    await signUpsThrough(async (stream) => {
      around.redis.pause();
      await assertOnlyRedisIsMissed();
      await stream.more(20);
      around.redis.resume();
    });
  });

  it('no process has died', async () => {
    assert.deepEqual(tree.linesMatching(/was killed by|exited with/), []);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});
