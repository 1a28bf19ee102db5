import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { keepInTest } from '../../support/suite';
import { tempFolder } from '../../support/temp-folder';
import type { RecorderOptions } from './recorder';
import { RecorderProcess } from './recorder-process';
import { socketRequest } from './socket-request';

describe('a control server in a process of its own', () => {
  const keep = keepInTest((recorder: RecorderProcess) => recorder.cleanup());
  const begin = (options?: RecorderOptions) => keep(new RecorderProcess(options));
  const start = async (options?: RecorderOptions) => {
    const recorder = begin(options);
    await recorder.said('listening');
    return recorder;
  };
  const statusOf = async ({ socket, state }: RecorderProcess, method: string, command: string) =>
    (await socketRequest(socket, method, command, { authorization: `Bearer ${state.token}` })).status;

  it('answers a stop although another command still waits, and leaves no files behind', async () => {
    for (const how of ['SIGTERM', '/stop'] as const) {
      const recorder = await start({ failing: ['~phasedRestart'] });
      const waiting = statusOf(recorder, 'POST', '/phased-restart').catch((error: NodeJS.ErrnoException) => error.code);
      await recorder.said('called');
      if (how === 'SIGTERM') recorder.signal(how);
      else assert.equal(await statusOf(recorder, 'POST', how), 202);
      assert.deepEqual([await recorder.exited, await waiting], [0, 'ECONNRESET'], how);
      assert.deepEqual(fs.readdirSync(path.dirname(recorder.socket)), []);
    }
  });

  it('lets exactly one of several that start at once after a crash take the socket', async () => {
    const dead = await start();
    await dead.kill9();
    assert.ok(fs.existsSync(dead.socket) && fs.existsSync(dead.stateFile));
    const all = Array.from({ length: 4 }, () => begin({ cwd: dead.cwd }));
    const listens = (one: RecorderProcess) =>
      one.said('listening').then(
        () => one,
        () => undefined,
      );
    const ends = await Promise.all(all.map((one) => Promise.race([listens(one), one.exited.then(() => undefined)])));
    const [winner, ...more] = ends.filter((one) => one !== undefined);
    assert.ok(winner);
    assert.deepEqual(more, []);
    assert.equal(await statusOf(winner, 'GET', '/stats'), 200);
  });

  it('listens on a socket whose absolute path is too long, if its relative path is short enough', async () => {
    const cwd = path.join(tempFolder('control'), 'd'.repeat(100));
    fs.mkdirSync(cwd);
    const inside = await start({ cwd });
    assert.equal(fs.statSync(inside.socket).mode & 0o777, 0o600);
    inside.signal('SIGINT');
    assert.equal(await inside.exited, 0);
    assert.ok(!fs.existsSync(inside.socket));
  });
});
