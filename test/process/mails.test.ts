import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { assertOneMailEach, signUpMany, subjectFor } from './sign-ups';
import { Surroundings } from './surroundings';

const MANY = 200;

describe(`${MANY} sign-ups`, () => {
  let around: Surroundings;
  let tree: Tree;
  before(async () => {
    around = await Surroundings.make();
    tree = await around.start();
  });
  after(() => around.remove());

  it('bring each user one welcome in their language', async () => {
    const users = await signUpMany(tree, MANY);
    await around.sink.waitFor(MANY);
    await assertOneMailEach(around);
    const received = around.sink.messages.map((mail) => `${mail.envelope.to}: ${mail.subject}`);
    const expected = users.map((user) => `${user.email}: ${subjectFor(user)}`);
    assert.deepEqual(received.sort(), expected.sort());
    assert.equal(received.filter((line) => line.includes('환영')).length, MANY / 2);
  });

  it('are no trouble to anybody: no error is logged, and the tree leaves in order', async () => {
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
    assert.deepEqual(
      tree.linesMatching(({ json }) => json.level === 'warn' || json.level === 'error'),
      [],
    );
  });
});
