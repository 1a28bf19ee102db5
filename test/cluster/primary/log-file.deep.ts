import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { request } from '../../support/http';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
import { type SupervisorApp, useSupervisorApp } from './supervisor-app';

/** A tree whose standard output, or that and standard error, go to a file. */
class LoggedTree {
  readonly folder = tempFolder('logged');
  readonly log = path.join(this.folder, 'app.log');
  readonly child: ChildProcess;
  address = '';

  constructor(app: SupervisorApp, format: 'json' | 'pretty', { flags = 'a', old = '', errors = false } = {}) {
    fs.writeFileSync(this.log, old);
    const fd = fs.openSync(this.log, flags);
    const { PATH = '', CATAMOUNT_TEST_RUN = '' } = process.env;
    this.child = spawn(process.execPath, [app.entryFile], {
      cwd: this.folder,
      stdio: ['ignore', fd, errors ? fd : 'ignore'],
      env: { PATH, CATAMOUNT_TEST_RUN, PORT: '0', HOST: '127.0.0.1', LOG_FORMAT: format, ...app.env },
    });
    fs.closeSync(fd);
  }

  async listens(): Promise<void> {
    this.address = await until('it listens', () => /Listening on (http:[^\s,"]+)/.exec(this.text)?.[1]);
  }

  get text(): string {
    return fs.existsSync(this.log) ? fs.readFileSync(this.log, 'utf8') : '';
  }

  /** Sends requests until both workers have written to the file. */
  async askEach(name: string): Promise<void> {
    await until('both workers have written', async () => {
      await request(`${this.address}/${name}`);
      return this.text.includes(`GET /${name} 404`) && ['web.0', 'web.1'].every((web) => this.text.includes(web));
    });
  }

  async stop(): Promise<unknown> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    this.child.kill('SIGTERM');
    const [code] = await once(this.child, 'exit');
    return code;
  }
}

describe('a tree whose standard output goes to a file', () => {
  const app = useSupervisorApp();
  let tree: LoggedTree;
  before(async () => {
    tree = new LoggedTree(app, 'json');
    await tree.listens();
  });
  after(() => tree.stop());

  it("writes the lines of the app's own logger to it verbatim", async () => {
    const record = `{"level":30,"process":"web.0",  "msg":"by the app"}`;
    await request(`${tree.address}/print?text=${encodeURIComponent(record)}`);
    await until('the line is in the file', () => tree.text.split('\n').includes(record));
  });

  it('writes its last line to it', async () => {
    assert.equal(await tree.stop(), 0);
    assert.match(tree.text, /stopped in [\d.]+ m?s, 0 killed/);
  });

  for (const [format, flags, old, form] of [
    ['pretty', 'w', '', /^(Catamount |\* [\w.]+: |Ctrl-C stops it$| {4}|\[[\d:.]{12}\] \w+: \[[\w.]+\] )/],
    ['json', 'a', '{"of":"yesterday"}\n', /^\{"level":.*\}$/],
  ] as const)
    it(`keeps every line whole beside standard error: ${format}, ${flags === 'a' ? '>> log 2>&1' : '> log 2>&1'}`, async () => {
      const both = new LoggedTree(app, format, { flags, old, errors: true });
      await both.listens();
      await until('the job processor is ready', () => both.text.includes('job processor (pid'));
      await both.askEach('missing');
      await both.stop();
      assert.ok(both.text.startsWith(old));
      assert.ok(!both.text.includes('\0'));
      const added = both.text.slice(old.length);
      for (const line of added.trimEnd().split('\n')) assert.match(line, form);
      if (format === 'pretty') assert.match(added, /^Catamount .*\n(\* .*\n){3,}\[/);
      assert.match(added, /stopped in [\d.]+ m?s, 0 killed/);
    });
});
