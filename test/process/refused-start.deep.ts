import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { catamount } from '../cli/cli-process';
import { AT_A_START, IN_THE_APP, SOUND, STARTING } from '../role/mistakes';
import { appFolder } from '../support/app-folder';
import { createDatabase } from '../support/postgres';
import { keepInTest } from '../support/suite';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { spawnTree, type Tree, type TreeOptions } from '../support/tree';

const SERVER = path.resolve(__dirname, '../../dist/server.js');
/** The `catamount` command. */
const COMMAND = path.resolve(__dirname, '../../dist/lib/cli/main.js');

/** Writes an app that imports the build. @returns its folder. */
const writeApp = (changes: Readonly<Record<string, string | null>>) => appFolder({ ...SOUND, ...STARTING, ...changes });

/** Production settings with servers that do not answer: they are not needed until the app is loaded and checked. */
const PRODUCTION = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
  REDIS_URL: 'redis://127.0.0.1:1',
  MAIL_DELIVERY: 'log',
  APP_URL: 'https://shop.example',
};

/** These starts must fail before any process is started in vain. */
describe('a start that fails names', () => {
  const keep = keepInTest((tree: Tree) => tree.cleanup());

  /** @returns the exit code and what was written to standard error. */
  async function refused(options: TreeOptions): Promise<{ code: number | null; text: string; tree: Tree }> {
    const tree = keep(spawnTree(options));
    // `end` has a time limit, which a start that is not refused would exceed.
    await tree.end();
    const { code } = await tree.exited;
    assert.deepEqual(tree.leftovers(), []);
    const errors = tree.lines.filter((line) => line.stream === 'stderr').map((line) => line.text);
    return { code, text: errors.join('\n'), tree };
  }

  for (const [name, { files = {}, env = {}, says, code: expected = 78 }] of Object.entries(AT_A_START)) {
    it(name, async () => {
      const database = env.DATABASE_URL?.startsWith('a ') ? await createDatabase() : undefined;
      const url = new URL(database?.url ?? PRODUCTION.DATABASE_URL);
      if (env.DATABASE_URL === 'a wrong password') url.password = 'wrong';
      const settings = { ...PRODUCTION, ...env, ...(database && { DATABASE_URL: url.href }) };
      const cwd = writeApp(files);
      try {
        const { code, tree } = await refused({ entry: COMMAND, cwd, env: settings });
        assert.match(tree.lines.map(({ text }) => text).join('\n'), says);
        assert.equal(code, expected);
        assert.deepEqual(tree.linesMatching(/Listening on/), []);
      } finally {
        removeFolder(cwd);
        await database?.drop();
      }
    });
  }

  it('every mistake in the app, in production too, and catamount check reports the same', async () => {
    const both = ['a job without perform', 'an action without a template', 'an unknown option of cron'];
    const rows = both.map((name) => IN_THE_APP[name] ?? assert.fail(name));
    const cwd = writeApp(Object.assign({}, ...rows.map(({ files }) => files)));
    const embedded = { NODE_ENV: undefined, DATABASE_URL: undefined, REDIS_URL: undefined };
    for (const env of [{ ...PRODUCTION, ...embedded }, PRODUCTION]) {
      const { code, text, tree } = await refused({ entry: COMMAND, cwd, env });
      for (const { says } of rows) assert.match(text, says);
      assert.equal(code, 78, text);
      assert.deepEqual(tree.linesMatching(/Listening on/), []);
    }
    const told = await catamount(cwd, ['check']);
    for (const { says } of rows) assert.match(told.stdout, says);
    assert.equal(told.code, 1);
    removeFolder(cwd);
  });

  it('a port that is taken, once, next to the log, if both go to one file', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const cwd = tempFolder('one-file');
    const file = path.join(cwd, 'log');
    const output = fs.openSync(file, 'w');
    try {
      const { port } = holder.address() as AddressInfo;
      const { PATH, HOME } = process.env;
      const env = { PATH, HOME, PORT: String(port) };
      const tree = spawn(process.execPath, [SERVER], { cwd, env, stdio: ['ignore', output, output] });
      assert.deepEqual(await once(tree, 'exit'), [69, null]);
      const lines = fs.readFileSync(file, 'utf8').trimEnd().split('\n');
      const [told = '', ...others] = lines.filter((line) => !line.startsWith('{'));
      assert.match(told, new RegExp(`port ${port} on 127\\.0\\.0\\.1 is taken.*PORT`));
      assert.deepEqual(others, []);
      const logged = lines.filter((line) => line !== told).map((line) => String(JSON.parse(line).msg));
      assert.match(logged[0] ?? '', /starts the app/);
      assert.equal(fs.existsSync(path.join(cwd, '.catamount')), false);
    } finally {
      fs.closeSync(output);
      holder.close();
      await once(holder, 'close');
      removeFolder(cwd);
    }
  });
});
