import assert from 'node:assert/strict';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { spawnTree, type Tree, type TreeOptions } from '../support/tree';

/** Starts that must fail, before anything is started for nothing. */
describe('a start that cannot be', () => {
  const trees: Tree[] = [];
  afterEach(async () => {
    await Promise.all(trees.splice(0).map((tree) => tree.cleanup()));
  });

  /** @returns the exit code and what was written to standard error. */
  async function refused(options: TreeOptions): Promise<{ code: number | null; text: string; tree: Tree }> {
    const tree = spawnTree(options);
    trees.push(tree);
    const { code } = await tree.exited;
    assert.deepEqual(tree.leftovers(), []);
    const errors = tree.lines.filter((line) => line.stream === 'stderr').map((line) => line.text);
    return { code, text: errors.join('\n'), tree };
  }

  it('names a port that is taken', async () => {
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

  it('names every wrong setting, with its value and what is allowed', async () => {
    const { code, text } = await refused({ env: { PORT: 'abc', WEB_CONCURRENCY: '-1' } });
    assert.equal(code, 78);
    assert.match(text, /2 settings are wrong/);
    assert.match(text, /PORT +is "abc"; it must be a whole number from 0 to 65535/);
    assert.match(text, /WEB_CONCURRENCY +is "-1"; it must be auto, or a whole number/);
    assert.doesNotMatch(text, /^ +at /m);
  });

  it('asks for every server in production, where none is embedded', async () => {
    const { code, text, tree } = await refused({ env: { NODE_ENV: 'production' } });
    assert.equal(code, 78);
    for (const variable of ['DATABASE_URL', 'REDIS_URL', 'SMTP_URL']) {
      assert.match(text, new RegExp(`${variable} +is not set`));
    }
    assert.equal(fs.existsSync(path.join(tree.cwd, '.catamount')), false);
  });

  const commands: Readonly<Record<string, { args: string[]; code: number; says: RegExp }>> = {
    'an option that there is not': {
      args: ['--frobnicate'],
      code: 64,
      says: /--frobnicate.*\n.*Usage:.*--only web\|jobs/s,
    },
    'a command that there is not': { args: ['deploy'], code: 64, says: /"deploy" is no command/ },
    'a role that there is not': {
      args: ['--only', 'mail'],
      code: 78,
      says: /--only +is "mail"; it must be web or jobs/,
    },
    'an option without its value': { args: ['--only'], code: 64, says: /--only.*\n.*Usage:/s },
    'more than one command': { args: ['migrate', 'rollback'], code: 64, says: /rollback/ },
  };
  for (const [name, { args, code, says }] of Object.entries(commands)) {
    it(`explains ${name}`, async () => {
      const end = await refused({ args });
      assert.match(end.text, says);
      assert.equal(end.code, code);
    });
  }

  it('names the database that does not answer', async () => {
    const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', REDIS_URL: 'redis://127.0.0.1:1' };
    const { code, text, tree } = await refused({ env });
    assert.equal(code, 69);
    assert.match(text, /the migrations failed, see above/);
    assert.equal(tree.linesMatching(/127\.0\.0\.1:1\b/).length > 0, true);
  });
});
