import assert from 'node:assert/strict';
import { Load } from '../support/load';
import type { Tree, TreeOptions } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { assertOneMailEach, openSignUp, SignUpStream } from './sign-ups';

const STOPPING = /got SIG\w+: stopping/;
/** A client that connects when nothing listens any more is refused before it has sent a request. */
const REFUSED = /^ECONNREFUSED/;

/** A way to stop a tree; `again` is called while the tree is stopping. */
interface Way {
  readonly options?: TreeOptions;
  readonly signal: (tree: Tree) => void;
  readonly again?: (tree: Tree) => void;
}

const toPrimary = (signal: NodeJS.Signals) => (tree: Tree) => {
  const { primary } = tree.processes();
  if (primary !== undefined) process.kill(primary, signal);
};
// Workers come first, so that each may get the signal before the primary tells it to stop.
const toEach = (signal: NodeJS.Signals) => (tree: Tree) => tree.signalAll(signal);

const WAYS: Readonly<Record<string, Way>> = {
  'SIGTERM to the primary alone': { signal: toPrimary('SIGTERM') },
  'SIGTERM to npm, its parent': { options: { via: 'npm' }, signal: (tree) => process.kill(tree.pid, 'SIGTERM') },
  'SIGTERM to every process at once, whose terminal is then closed': {
    signal: toEach('SIGTERM'),
    again: toEach('SIGHUP'),
  },
  'Ctrl-C under npm, again and again': { options: { via: 'npm' }, signal: toEach('SIGINT'), again: toEach('SIGINT') },
};

describe('a stop under load', () => {
  const deployment = useDeployment();
  // A failed test must not affect the others.
  afterEach(() => deployment.sink.release());

  for (const [name, { options, signal, again = () => undefined }] of Object.entries(WAYS)) {
    it(`by ${name} answers every request, kills nothing, leaves no process behind and loses no job`, async () => {
      const tree = await deployment.start({ ...options, env: { SHUTDOWN_TIMEOUT: '5m' } });
      // By now the mails that the previous stop left have been sent.
      await assertOneMailEach(deployment);
      const before = (await deployment.users()).length;
      deployment.sink.hold();
      const load = new Load(tree.baseUrl, 6, (n) => (n % 2 === 0 ? '/' : '/users/me'));
      const stream = new SignUpStream(tree, 2);
      const open = await Promise.all([openSignUp(tree), openSignUp(tree), openSignUp(tree)]);
      await Promise.all([stream.more(20), load.more(50)]);
      await until('two mails are in flight', () => deployment.sink.waiting === 2);

      signal(tree);
      await tree.waitForLine(STOPPING);
      // The tree keeps serving until the clients have stopped.
      await Promise.all([stream.stop(), load.stop()]);
      again(tree);
      const statuses = await Promise.all(open.map((request) => request.finish()));
      again(tree);
      deployment.sink.release();

      assert.equal((await tree.end()).code, 0);
      await tree.allGone();
      assert.deepEqual(statuses, [201, 201, 201]);
      const failures = [...Object.keys(load.failures), ...stream.failures];
      assert.deepEqual(
        failures.filter((failure) => !REFUSED.test(failure)),
        [],
      );
      await tree.waitForLine(/stopped in [\d.]+ m?s, 0 killed/);
      // Users whose sign-up was not answered are not in the database either.
      assert.equal((await deployment.users()).length, before + stream.accepted.length + open.length);
    });
  }

  it('leaves the remaining jobs to the next start', async () => {
    const tree = await deployment.start();
    await assertOneMailEach(deployment);
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});
