import assert from 'node:assert/strict';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { catamount } from '../cli/cli-process';
import { removeFolder, tempFolder } from '../support/temp-folder';
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

const ROOT = path.resolve(__dirname, '../..');

/** Writes an app whose `catamount` is the build. @returns its entry file. */
function writeApp(files: Readonly<Record<string, string>>): string {
  const folder = tempFolder('mistaken');
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules/catamount'));
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  return path.join(folder, 'server.js');
}

const APP = `module.exports = require('catamount').defineApp({
  name: 'shop', root: __dirname, routes: () => import('./routes.js') });`;
const MISTAKEN = {
  'server.js': "require('catamount').boot(require('./app'));",
  'app.js': APP,
  'routes.js': 'module.exports = () => {};',
  'jobs/greet.js': "const { Job } = require('catamount');\nmodule.exports = class GreetJob extends Job {};",
  'mailers/guest-mailer.js': `const { Mailer } = require('catamount');
    module.exports = class GuestMailer extends Mailer {
      static thanks = this.action('thanks');
      thanks(to) { return this.mail({ to }); }
    };`,
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

  it('every mistake in the app, in production too, and catamount check tells the same', async () => {
    const entry = writeApp(MISTAKEN);
    const cwd = path.dirname(entry);
    const both = [
      /jobs\/greet\.js: GreetJob has no perform method/,
      /guest_mailer\/thanks\/html\.ejs: GuestMailer#thanks has no template/,
    ];
    const urls = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', REDIS_URL: 'redis://127.0.0.1:1' };
    const production = { ...urls, NODE_ENV: 'production', MAIL_DELIVERY: 'log', APP_URL: 'https://shop.example' };
    for (const env of [{}, production, { ...production, WEB_CONCURRENCY: '0' }]) {
      const { code, text, tree } = await refused({ entry, cwd, env });
      for (const pattern of both) assert.match(text, pattern);
      assert.equal(code, 78, text);
      assert.deepEqual(tree.linesMatching(/Listening on/), []);
    }
    const told = await catamount(cwd, ['check']);
    for (const pattern of both) assert.match(told.stdout, pattern);
    assert.equal(told.code, 1);
    removeFolder(cwd);
  });

  it('an app file or a routes file that exports nothing', async () => {
    for (const [file, says] of [
      ['app.js', /server\.js: boot needs the app's manifest and got a object that is none: export what defineApp/],
      ['routes.js', /routes \(\.\/routes\.js\): its default export is no function/],
    ] as const) {
      const { 'server.js': server, 'app.js': app, 'routes.js': routes } = MISTAKEN;
      const entry = writeApp({ 'server.js': server, 'app.js': app, 'routes.js': routes, [file]: '' });
      const { code, text } = await refused({ entry, cwd: path.dirname(entry) });
      assert.match(text, says);
      assert.equal(code, 78);
      removeFolder(path.dirname(entry));
    }
  });

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
