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
  const take = () => FolderLock.take(stateDir);
  const write = (content: string) => fs.writeFileSync(path.join(stateDir, 'owner.json'), content);
  beforeEach(() => {
    stateDir = stateFolder();
    fs.mkdirSync(stateDir, { recursive: true });
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
    assert.deepEqual(fs.readdirSync(stateDir), []);
  });

  it('takes over from a process that has ended, also when another one has its pid now', async () => {
    const gone = spawn('true');
    await once(gone, 'exit');
    write(JSON.stringify({ pid: gone.pid, startedAt: '1' }));
    (await take()).release();
    write(JSON.stringify({ pid: process.pid, startedAt: `${await startedAt(process.pid)}0` }));
    (await take()).release();
  });

  it('takes over from a file that a crash of the machine left empty', async () => {
    write('');
    (await take()).release();
  });
});
