import assert from 'node:assert/strict';
import { startLoad } from '../support/load';
import type { Tree, TreeOptions } from '../support/tree';
import { until } from '../support/until';
import { assertOneMailEach, openSignUp, SignUpStream, signUpMany } from './sign-ups';
import { Surroundings } from './surroundings';

const STOPPING = /got SIG\w+: stopping/;
const DEADLINE_S = 15;

/** How a stop is brought about; `again` comes while the tree is stopping. */
interface Way {
  readonly options?: TreeOptions;
  readonly signal: (tree: Tree) => void;
  readonly again?: (tree: Tree) => void;
}

const toPrimary = (signal: NodeJS.Signals) => (tree: Tree) => {
  const { primary } = tree.processes();
  if (primary !== undefined) process.kill(primary, signal);
};
const toEach = (signal: NodeJS.Signals) => (tree: Tree) => {
  // Workers first: each may hear of it before the primary says anything.
  for (const { pid } of [...tree.processes().all].sort((a, b) => b.pid - a.pid)) process.kill(pid, signal);
};

const WAYS: Readonly<Record<string, Way>> = {
  'SIGTERM to the primary alone': { signal: toPrimary('SIGTERM') },
  'SIGTERM to npm, its parent': { options: { via: 'npm' }, signal: (tree) => process.kill(tree.pid, 'SIGTERM') },
  'SIGTERM to every process at once': { signal: toEach('SIGTERM'), again: toEach('SIGTERM') },
  'SIGINT, again and again': { signal: toPrimary('SIGINT'), again: toPrimary('SIGINT') },
  'Ctrl-C under npm, again and again': { options: { via: 'npm' }, signal: toEach('SIGINT'), again: toEach('SIGINT') },
};

describe('a stop under load', () => {
  let around: Surroundings;
  before(async () => {
    around = await Surroundings.make();
  });
  // A stop that failed must not spoil the others.
  afterEach(() => around.sink.release());
  after(() => around.remove());

  for (const [name, { options, signal, again = () => undefined }] of Object.entries(WAYS)) {
    it(`by ${name}: every request is answered, exit 0 in time, nothing is left, no job is lost`, async () => {
      const tree = await around.start({ ...options, env: { SHUTDOWN_TIMEOUT: `${DEADLINE_S}s` } });
      // What the stop before has left is sent by now.
      await assertOneMailEach(around);
      const before = (await around.users()).length;
      around.sink.hold();
      const load = startLoad(tree.baseUrl, 6, (n) => (n % 2 === 0 ? '/' : '/users/me'));
      const stream = new SignUpStream(tree, 2);
      const open = await Promise.all([openSignUp(tree), openSignUp(tree), openSignUp(tree)]);
      await Promise.all([stream.more(20), load.answered(50)]);
      await until('two mails are on their way', () => around.sink.waiting === 2);

      signal(tree);
      await tree.waitForLine(STOPPING);
      // The tree serves on until whoever sends requests has noticed.
      await Promise.all([stream.stop(), load.stop()]);
      again(tree);
      const statuses = await Promise.all(open.map((request) => request.finish()));
      again(tree);
      around.sink.release();

      assert.equal((await tree.end()).code, 0);
      await tree.allGone();
      assert.deepEqual(statuses, [201, 201, 201]);
      assert.deepEqual(load.result.failures, {});
      assert.deepEqual(stream.failures, []);
      const took = Number(/stopped in ([\d.]+) s, 0 killed/.exec((await tree.waitForLine(/stopped in/)).text)?.[1]);
      assert.ok(took <= DEADLINE_S, `stopped in ${took} s`);
      // Whoever was not answered is not in the database either.
      assert.equal((await around.users()).length, before + stream.accepted.length + open.length);
    });
  }

  it('and every job that was left is done by the next start', async () => {
    const tree = await around.start();
    await assertOneMailEach(around);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});

describe('a job that takes longer than SHUTDOWN_TIMEOUT', () => {
  let around: Surroundings;
  before(async () => {
    around = await Surroundings.make();
  });
  after(() => around.remove());

  it('is put back in time, uncounted, and done by the next start', async () => {
    const tree = await around.start({ env: { SHUTDOWN_TIMEOUT: '3s' } });
    around.sink.hold();
    await signUpMany(tree, 3);
    await until('two mails are on their way', () => around.sink.waiting === 2);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
    assert.equal(tree.linesMatching(/goes back to mailer: the process stops/).length, 2);
    assert.deepEqual(tree.linesMatching(/killed (worker|job)/), []);
    around.sink.discard();

    const next = await around.start();
    await assertOneMailEach(around);
    assert.equal(next.linesMatching(/taken back from a process that died/).length, 0);
    assert.equal((await next.stop()).code, 0);
    await next.allGone();
  });
});
