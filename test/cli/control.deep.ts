import assert from 'node:assert/strict';
import fs from 'node:fs';
import { RecorderProcess } from '../cluster/control/recorder-process';
import { inTest } from '../support/suite';
import { catamount } from './cli-process';

describe('a catamount command sent to a primary', () => {
  const run = (command: string) => catamount(recorder.cwd, [command]);
  const recorder = inTest('cleanup', () => RecorderProcess.start({ failing: ['~stop'] }));

  it('stop: returns once the primary has exited, and not before', async () => {
    let returned = false;
    const ending = run('stop').finally(() => {
      returned = true;
    });
    await recorder.said('called');
    // Sent later, but answered: by 3, since something is broken in the recorder's tree.
    assert.equal((await run('status')).code, 3);
    assert.ok(!returned);
    await recorder.kill9();
    const { code, stdout } = await ending;
    assert.deepEqual([code, stdout], [0, `Stopped: pid ${recorder.pid} is gone.\n`]);
  });

  it('says how to reach a primary whose socket file is gone', async () => {
    fs.rmSync(recorder.socket);
    const { code, stderr } = await run('stop');
    assert.equal(code, 1);
    const advice = `^A Catamount runs here, pid ${recorder.pid}, but .* kill -TERM ${recorder.pid} stops it\\.\n$`;
    assert.match(stderr, new RegExp(advice));
  });
});
