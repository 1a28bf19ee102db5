import assert from 'node:assert/strict';
import { startLoad } from '../support/load';
import type { Tree, TreeOptions } from '../support/tree';
import { until } from '../support/until';
import { assertOneMailEach, openSignUp, SignUpStream } from './sign-ups';
import { Surroundings } from './surroundings';

const STOPPING = /got SIG\w+: stopping/;
/** Whoever comes when nobody listens any more is refused, and has sent no request. */
const REFUSED = /^ECONNREFUSED/;

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
  for (const { pid } of [...tree.processes().all].sort((a, b) => b.pid - a.pid)) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has left already.
    }
  }
};

const WAYS: Readonly<Record<string, Way>> = {
  'SIGTERM to the primary alone': { signal: toPrimary('SIGTERM') },
  'SIGTERM to npm, its parent': { options: { via: 'npm' }, signal: (tree) => process.kill(tree.pid, 'SIGTERM') },
  'SIGTERM to every process at once': { signal: toEach('SIGTERM'), again: toEach('SIGTERM') },
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
    it(`by ${name}: every request is answered, nobody is killed, nothing is left, no job is lost`, async () => {
      const tree = await around.start({ ...options, env: { SHUTDOWN_TIMEOUT: '5m' } });
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
      const failures = [...Object.keys(load.result.failures), ...stream.failures];
      assert.deepEqual(
        failures.filter((failure) => !REFUSED.test(failure)),
        [],
      );
      await tree.waitForLine(/stopped in [\d.]+ m?s, 0 killed/);
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
