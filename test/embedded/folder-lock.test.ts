import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { FolderLock } from '../../lib/embedded/folder-lock';
import { startedAt } from '../../lib/embedded/server-process';
import { removeFolder } from '../support/temp-folder';
import { stateFolder } from './servers-under-test';

describe('the lock on a folder', () => {
  let stateDir: string;
  const take = () => FolderLock.take(stateDir, undefined);
  const write = (number: number, content: string) => {
    fs.mkdirSync(path.join(stateDir, 'claims'), { recursive: true });
    fs.writeFileSync(path.join(stateDir, 'claims', String(number)), content);
  };
  beforeEach(() => {
    stateDir = stateFolder();
  });
  afterEach(() => removeFolder(path.dirname(stateDir)));

  it('is granted to only one of several starts, and again once it is released', async () => {
    const tries = await Promise.allSettled(Array.from({ length: 20 }, take));
    const granted = tries.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    assert.equal(granted.length, 1);
    const refused = tries.find((result) => result.status === 'rejected');
    assert.match(
      String(refused?.reason),
      new RegExp(`^UserError: Another Catamount, pid ${process.pid}, runs in this folder \\(${stateDir}\\)\\. Stop it`),
    );
    granted[0]?.release();
    (await take()).release();
  });

  it('takes over from a process that has ended', async () => {
    const gone = spawn('true');
    await once(gone, 'exit');
    write(7, JSON.stringify({ pid: gone.pid, role: 'primary', startedAt: '1' }));
    const lock = await take();
    assert.equal(lock.number, 8);
    assert.deepEqual(fs.readdirSync(lock.folder), ['8']);
    lock.release();
  });

  it('takes over when another process has the pid now', async () => {
    write(3, JSON.stringify({ pid: process.pid, role: 'primary', startedAt: `${await startedAt(process.pid)}0` }));
    assert.equal((await take()).number, 4);
    write(5, JSON.stringify({ pid: process.pid, role: 'keeper' }));
    assert.equal((await take()).number, 6);
  });

  it('takes over from a file that a crash of the machine left empty', async () => {
    write(2, '');
    assert.equal((await take()).number, 3);
  });
});
