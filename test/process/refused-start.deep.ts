import assert from 'node:assert/strict';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { spawnTree, type Tree, type TreeOptions } from '../support/tree';

interface Refusal {
  readonly options: TreeOptions;
  readonly code: number;
  readonly says: readonly RegExp[];
}

const SHED_REASONS: Readonly<Record<string, Refusal>> = {
  'a wrong setting, with its value and what is allowed, beside every server that production needs': {
    options: { env: { NODE_ENV: 'production', PORT: 'abc' } },
    code: 78,
    says: [
      /4 settings are wrong/,
      /PORT +is "abc"; it must be a whole number from 0 to 65535/,
      /DATABASE_URL +is not set/,
      /REDIS_URL +is not set/,
      /SMTP_URL +is not set/,
      /nothing embedded starts in production/,
    ],
  },
  'an option that there is not': {
    options: { args: ['--frobnicate'] },
    code: 64,
    says: [/--frobnicate.*\n.*Usage:.*--only web\|jobs/s],
  },
  'a command that there is not': { options: { args: ['deploy'] }, code: 64, says: [/"deploy" is no command/] },
  'a role that there is not': {
    options: { args: ['--only', 'mail'] },
    code: 78,
    says: [/--only +is "mail"; it must be web or jobs/],
  },
  'more than one command': { options: { args: ['migrate', 'rollback'] }, code: 64, says: [/rollback/] },
};

/** Starts that must fail, before anything is started for nothing. */
describe('a start that cannot be names', () => {
  const trees: Tree[] = [];
  afterEach(async () => {
    await Promise.all(trees.splice(0).map((tree) => tree.cleanup()));
  });

  /** @returns the exit code and what was written to standard error. */
  async function refused(options: TreeOptions): Promise<{ code: number | null; text: string; tree: Tree }> {
    const tree = spawnTree(options);
    trees.push(tree);
    // By `end`, which has a limit: a start that is not refused goes on for good.
    await tree.end();
    const { code } = await tree.exited;
    assert.deepEqual(tree.leftovers(), []);
    const errors = tree.lines.filter((line) => line.stream === 'stderr').map((line) => line.text);
    return { code, text: errors.join('\n'), tree };
  }

  for (const [name, { options, code, says }] of Object.entries(SHED_REASONS)) {
    it(name, async () => {
      const end = await refused(options);
      for (const pattern of says) assert.match(end.text, pattern);
      assert.equal(end.code, code);
      assert.doesNotMatch(end.text, /^ +at /m);
      assert.equal(fs.existsSync(path.join(end.tree.cwd, '.catamount')), false);
    });
  }

  it('a port that is taken', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    try {
      const { port } = holder.address() as AddressInfo;
      const { code, text, tree } = await refused({ env: { PORT: String(port) } });
      assert.equal(code, 69);
      assert.match(text, new RegExp(`port ${port} on 127\\.0\\.0\\.1 is taken.*PORT`));
      assert.equal(fs.existsSync(path.join(tree.cwd, '.catamount')), false);
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
  });

  it('a database that does not answer', async () => {
    const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', REDIS_URL: 'redis://127.0.0.1:1' };
    const { code, text, tree } = await refused({ env });
    assert.equal(code, 69);
    assert.match(text, /the migrations failed, see above/);
    assert.ok(tree.linesMatching(/127\.0\.0\.1:1\b/).length > 0);
  });
});
