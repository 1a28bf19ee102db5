import assert from 'node:assert/strict';
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import type { FromProcessor, ToProcessor } from '../../lib/cluster/messages';
import { PROCESSOR_ROLE } from '../../lib/cluster/messages';
import { readSettings } from '../../lib/core/settings';
import { Stage } from '../cluster/primary/stage';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { until } from '../support/until';

/** A job processor whose primary is the test. */
describe('a job processor', () => {
  const cwd = tempFolder('processor');
  const heard: FromProcessor[] = [];
  let stage: Stage;
  let child: ChildProcess;
  before(async () => {
    stage = await Stage.make();
  });
  after(async () => {
    child?.kill('SIGKILL');
    await stage?.remove();
    removeFolder(cwd);
  });

  const reports = () => heard.filter((message) => message.catamount === 'heartbeat');

  it('reports the jobs that end while it stops, before it exits', async () => {
    const release = stage.spoil('hold');
    const env = { ...process.env, ...stage.env };
    const enqueue = [stage.entryFile, 'jobs', 'enqueue', 'PatientJob', '["last","hold"]'];
    await promisify(execFile)(process.execPath, enqueue, { cwd, env });
    const config = readSettings({ env: stage.env, cwd });
    child = fork(stage.entryFile, [PROCESSOR_ROLE, 'tested-0', 'open'], {
      cwd,
      env: { ...env, CATAMOUNT_CONFIG: JSON.stringify(config) },
      execArgv: [],
      // It writes its log to the fifth.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'ignore'],
    });
    child.on('message', (message: FromProcessor) => heard.push(message));
    const exited = once(child, 'close');
    await until('the job is in hand by its report', () => reports().some(({ status }) => status.inFlight.length === 1));
    child.send({ catamount: 'stop', remainingMs: 600_000, handOff: false } satisfies ToProcessor);
    const before = reports().length;
    await until('it reports while it stops', () => reports().length > before);
    release();
    assert.deepEqual(await exited, [0, null]);
    assert.equal(
      reports().reduce((sum, { work }) => sum + work.processed, 0),
      1,
    );
    assert.deepEqual(reports().at(-1)?.status.inFlight, []);
  });
});
