import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { readState } from '../../../lib/cluster/control/state-file';
import { request } from '../../support/http';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
import { catamount } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('a tree whose standard output goes to a file', () => {
  const app = useSupervisorApp();
  let tree: ChildProcess;
  let folder: string;
  let log: string;
  let address: string;

  const read = (file: string) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '');
  const moved = (n: number) => `${log}.${n}`;
  /** Sends requests until both workers have logged one. */
  const askEach = async (name: string) => {
    const seen = () =>
      ['web.0', 'web.1'].every((web) => read(log).includes(`GET /${name} 404`) && linesOf(log).has(web));
    await until('both workers have written to the new file', async () => {
      await request(`${address}/${name}`);
      return seen();
    });
  };
  const linesOf = (file: string) =>
    new Set(
      read(file)
        .split('\n')
        .filter(Boolean)
        .map((line) => (JSON.parse(line) as { process: string }).process),
    );

  before(async () => {
    folder = tempFolder('logged');
    log = path.join(folder, 'app.log');
    const fd = fs.openSync(log, 'a');
    const { PATH = '', CATAMOUNT_TEST_RUN = '' } = process.env;
    tree = spawn(process.execPath, [app.entryFile], {
      cwd: folder,
      stdio: ['ignore', fd, 'ignore'],
      env: { PATH, CATAMOUNT_TEST_RUN, PORT: '0', HOST: '127.0.0.1', LOG_FORMAT: 'json', ...app.env },
    });
    fs.closeSync(fd);
    address = await until('it listens', () => /Listening on (http:[^\s,"]+)/.exec(read(log))?.[1]);
  });
  after(async () => {
    if (tree.exitCode === null && tree.signalCode === null) {
      tree.kill('SIGTERM');
      await once(tree, 'exit');
    }
  });

  it("writes the lines of the app's own logger to it verbatim", async () => {
    const record = `{"level":30,"process":"web.0",  "msg":"by the app"}`;
    await request(`${address}/print?text=${encodeURIComponent(record)}`);
    await until('the line is in the file', () => read(log).split('\n').includes(record));
  });

  it('reopens the file by its name after SIGHUP and after reopen-log', async () => {
    for (const [n, reopen] of [
      async () => tree.kill('SIGHUP'),
      async () => assert.equal((await catamount(folder, 'reopen-log')).code, 0),
    ].entries()) {
      fs.renameSync(log, moved(n));
      await reopen();
      await until('the file exists again', () => fs.existsSync(log));
      await askEach(`round-${n}`);
      assert.equal(tree.exitCode, null);
      // From now on nothing is written to the old file.
      const before = fs.statSync(moved(n)).size;
      await askEach(`again-${n}`);
      assert.equal(fs.statSync(moved(n)).size, before);
    }
  });

  it('writes its last line to it', async () => {
    assert.equal(readState(path.join(folder, '.catamount/state.json'))?.pid, tree.pid);
    tree.kill('SIGTERM');
    const [code] = await once(tree, 'exit');
    assert.equal(code, 0);
    assert.match(read(log), /stopped in [\d.]+ m?s, 0 killed/);
  });
});

describe('standard output and standard error in one file', () => {
  const app = useSupervisorApp();

  for (const [format, flags, old] of [
    ['pretty', 'a', 'a line of yesterday\n'],
    ['pretty', 'w', ''],
    ['json', 'a', '{"of":"yesterday"}\n'],
    ['json', 'w', ''],
  ] as const) {
    it(`keep every line whole: ${format}, ${flags === 'a' ? '>> log 2>&1' : '> log 2>&1'}`, async () => {
      const folder = tempFolder('logged');
      const log = path.join(folder, 'app.log');
      fs.writeFileSync(log, old);
      const read = () => fs.readFileSync(log, 'utf8');
      const fd = fs.openSync(log, flags);
      const { PATH = '', CATAMOUNT_TEST_RUN = '' } = process.env;
      const tree = spawn(process.execPath, [app.entryFile], {
        cwd: folder,
        stdio: ['ignore', fd, fd],
        env: { PATH, CATAMOUNT_TEST_RUN, PORT: '0', HOST: '127.0.0.1', LOG_FORMAT: format, ...app.env },
      });
      fs.closeSync(fd);
      const address = await until('it listens', () => /Listening on (http:[^\s,"]+)/.exec(read())?.[1]);
      await until('the job processor is ready', () => read().includes('job processor (pid'));
      await until('both workers have written', async () => {
        await request(`${address}/missing`);
        return ['web.0', 'web.1'].every((name) => read().includes(name));
      });
      tree.kill('SIGTERM');
      await once(tree, 'exit');
      const text = read();
      assert.ok(text.startsWith(old));
      assert.ok(!text.includes('\0'));
      const lines = text.slice(old.length).trimEnd().split('\n');
      const form =
        format === 'json'
          ? /^\{"level":.*\}$/
          : /^(Catamount |\* [\w.]+: |Ctrl-C stops it$| {4}|\[[\d:.]{12}\] \w+: \[[\w.]+\] )/;
      for (const line of lines) assert.match(line, form);
      if (format === 'pretty') assert.match(text.slice(old.length), /^Catamount .*\n(\* .*\n){3,}\[/);
      assert.match(text, /stopped in [\d.]+ m?s, 0 killed/);
    });
  }
});
