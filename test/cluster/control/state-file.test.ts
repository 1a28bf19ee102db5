import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { NobodyListensError } from '../../../lib/cluster/control/client';
import { RunningTree } from '../../../lib/cluster/control/running-tree';
import { lookAt, readState, type TreeState, writeState } from '../../../lib/cluster/control/state-file';
import { tempFolder } from '../../support/temp-folder';

const STATE: TreeState = {
  pid: 12,
  startedAt: '2026-07-21T10:00:00.000Z',
  controlSocket: '/srv/app/.catamount/control.sock',
  token: 'secret',
  cwd: '/srv/app',
  version: '0.1.0',
};

describe('a state file', () => {
  let file: string;
  beforeEach(() => {
    file = path.join(tempFolder('state'), 'below', 'state.json');
  });

  it('is read back as it was written, and only its owner can read it', () => {
    assert.equal(readState(file), undefined);
    writeState(file, STATE);
    writeState(file, { ...STATE, pid: 13 });
    assert.deepEqual(readState(file), { ...STATE, pid: 13 });
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(fs.readdirSync(path.dirname(file)), ['state.json']);
  });

  it('is replaced atomically', () => {
    writeState(file, STATE);
    const before = fs.openSync(file, 'r');
    writeState(file, { ...STATE, pid: 13 });
    assert.equal(JSON.parse(fs.readFileSync(before, 'utf8')).pid, 12);
    fs.closeSync(before);
  });

  it('is not written through a symbolic link that lies in the place of its temporary file', () => {
    const target = path.join(tempFolder('state'), 'target');
    fs.writeFileSync(target, 'precious');
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.symlinkSync(target, `${file}.${process.pid}`);
    writeState(file, STATE);
    assert.equal(fs.readFileSync(target, 'utf8'), 'precious');
    assert.deepEqual(readState(file), STATE);
  });

  it('is rejected with a clear message when its content is invalid', () => {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    const wrong = Object.keys(STATE).map((key) => JSON.stringify({ ...STATE, [key]: null }));
    for (const text of ['', '{', 'null', '[]', '7', JSON.stringify(STATE).slice(0, -3), ...wrong]) {
      fs.writeFileSync(file, text);
      assert.throws(() => readState(file), { name: 'UserError', message: /is not a state file/ }, text);
    }
    assert.throws(() => readState(path.dirname(file)), { name: 'UserError', message: /cannot be read \(EISDIR\)/ });
  });
});

describe('looking up the pid of a primary', () => {
  it('tells a running primary from a process that has ended and from another program', async () => {
    const child = spawn(process.execPath, [
      '-e',
      'process.title = "catamount: primary"; console.log(1); process.stdin.resume()',
    ]);
    const pid = child.pid ?? 0;
    await once(child.stdout, 'data');
    assert.equal(lookAt(pid), 'alive');
    const file = path.join(tempFolder('state'), 'state.json');
    writeState(file, { ...STATE, pid });
    const told = RunningTree.find({ state: file }).explain(new NobodyListensError('no'));
    assert.match(String(told), new RegExp(`runs here, pid ${pid}, but nothing listens .* kill -TERM ${pid} stops it`));
    if (fs.existsSync('/proc/self/stat')) assert.equal(lookAt(process.pid), 'another program');
    const exited = once(child, 'exit');
    child.stdin.end();
    await exited;
    assert.equal(lookAt(pid), 'gone');
  });
});
