import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { tempFolder } from '../support/temp-folder';
import { startTree, type Tree } from '../support/tree';
import { writeScript } from './new-app-script';
import { install, lockLikeOurs, npm, pack, ROOT, removeInstalled } from './npm';

const run = promisify(execFile);

/** The summary of Node's test runner: `#` in its TAP reporter, `ℹ` in the default reporter since Node 23. */
const passed = (count: number) => new RegExp(`^[#ℹ] pass ${count}$`, 'm');

/** Apps created by `catamount new`. The packages of the first are installed, and the others use them, too. */
describe('an app created by catamount new', () => {
  let folder: string;
  let mail: SmtpSink;
  let tree: Tree | undefined;

  before(async () => {
    folder = tempFolder('new-app');
    const { tarball } = await pack(folder);
    fs.renameSync(tarball, path.join(folder, 'catamount.tgz'));
    await run(process.execPath, [path.join(ROOT, 'dist/lib/cli/main.js'), 'new', 'shop', '--skip-install'], {
      cwd: folder,
    });
    const file = path.join(folder, 'shop/package.json');
    fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(`file:${ROOT}`, 'file:../catamount.tgz'));
    lockLikeOurs(path.join(folder, 'shop'));
    await install(path.join(folder, 'shop'), 'install');
  });
  beforeEach(async () => {
    mail = await startSmtpSink();
  });
  afterEach(async () => {
    await tree?.cleanup();
    tree = undefined;
    await mail.stop();
  });
  after(async () => {
    await removeInstalled(folder);
  });

  /** Creates an app with the installed package; it uses the packages of the first app. */
  const make = async (name: string, ...flags: readonly string[]): Promise<string> => {
    const bin = path.join(folder, 'shop/node_modules/.bin/catamount');
    await run(bin, ['new', name, '--skip-install', ...flags], { cwd: folder });
    const app = path.join(folder, name);
    const { dependencies } = JSON.parse(fs.readFileSync(path.join(app, 'package.json'), 'utf8'));
    assert.equal(dependencies.catamount, 'file:../catamount.tgz');
    fs.symlinkSync(path.join(folder, 'shop/node_modules'), path.join(app, 'node_modules'));
    return app;
  };

  const signsUp = async (app: string, entry: string, script: string): Promise<void> => {
    tree = await startTree({
      entry: path.join(app, entry),
      cwd: app,
      env: { SMTP_URL: mail.url, WEB_CONCURRENCY: '1' },
    });
    const ada = { email: 'ada@example.com', name: 'Ada' };
    const made = await tree.request('POST', '/users', { json: ada });
    assert.equal(made.status, 201, made.body);
    const [welcome] = await mail.waitFor(1);
    assert.equal(welcome?.subject, `Welcome to ${path.basename(app)}`);
    assert.match(welcome?.text ?? '', /Hello, Ada!/);
    assert.equal((await tree.request('POST', '/users', { json: ada })).status, 422);
    assert.equal((await tree.request('POST', '/users', { json: { email: 'nobody' } })).status, 422);
    const bin = path.join(app, 'node_modules/.bin/catamount');
    await run(bin, ['run', `scripts/${script}`, 'Ada'], { cwd: app });
    const [, again] = await mail.waitFor(2);
    assert.equal(again?.subject, welcome?.subject);
    await tree.stop();
    await tree.allGone();
  };

  /** Runs scripts of the app, in the environment of a new user. @returns their output. */
  const passes = async (app: string, ...scripts: readonly string[]): Promise<string> => {
    let printed = '';
    for (const script of scripts) {
      printed += await npm(app, 'run', script).catch((error: { readonly stdout: string; readonly message: string }) =>
        assert.fail(`${script}: ${error.stdout}\n${error.message}`),
      );
    }
    return printed;
  };

  it('lints, compiles, passes its tests, boots and mails, in TypeScript', async () => {
    const app = path.join(folder, 'shop');
    writeScript(app, 'again.ts');
    assert.match(await passes(app, 'lint', 'build', 'test'), passed(2));
    await signsUp(app, 'dist/server.js', 'again.ts');
  });

  it('does the same in TypeScript as ES modules, with generated files', async () => {
    const app = await make('depot', '--esm');
    const bin = path.join(app, 'node_modules/.bin/catamount');
    for (const line of ['job SendReport userId --queue mailer', 'mailer ReportMailer weekly', 'model Post title'])
      await run(bin, ['generate', ...line.split(' ')], { cwd: app });
    writeScript(app, 'again.ts');
    assert.match(await passes(app, 'build', 'test'), passed(5));
    await signsUp(app, 'dist/server.js', 'again.ts');
  });

  for (const [name, modules, flags] of [
    ['kiosk', 'CommonJS', []],
    ['stall', 'ES modules', ['--esm']],
  ] as const)
    it(`does the same in JavaScript as ${modules}`, async () => {
      const app = await make(name, '--javascript', ...flags);
      writeScript(app, 'again.js');
      assert.match(await passes(app, 'test'), passed(2));
      await signsUp(app, 'server.js', 'again.js');
    });
});
