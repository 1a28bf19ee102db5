import assert from 'node:assert/strict';
import fs from 'node:fs';
import { RecorderProcess } from '../control/recorder-process';
import { isRunning } from '../support/processes';
import { catamount } from './cli-process';

describe('catamount, asking a primary', () => {
  let recorder: RecorderProcess;
  beforeEach(async () => {
    recorder = await RecorderProcess.start();
  });
  afterEach(() => recorder.cleanup());

  for (const command of ['stop', 'halt']) {
    it(`${command}: returns when it is gone`, async () => {
      const { code, stdout } = await catamount(recorder.cwd, [command]);
      assert.deepEqual([code, stdout], [0, `Stopped: pid ${recorder.pid} is gone.\n`]);
      assert.ok(!isRunning(recorder.pid));
      assert.deepEqual(recorder.calls, [command]);
    });
  }

  it('says how to reach one whose socket file is gone', async () => {
    fs.rmSync(recorder.socket);
    const { code, stderr } = await catamount(recorder.cwd, ['stop']);
    assert.equal(code, 1);
    const advice = `^A Catamount runs here, pid ${recorder.pid}, but .* kill -TERM ${recorder.pid} stops it\\.\n$`;
    assert.match(stderr, new RegExp(advice));
  });
});
