import assert from 'node:assert/strict';
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import pg from 'pg';
import { PROCESSOR_ROLE } from '../../../lib/cluster/child-roles';
import type { FromProcessor, ToProcessor } from '../../../lib/cluster/messages';
import { readSettings } from '../../../lib/core/settings';
import { useSupervisorApp } from '../../cluster/primary/supervisor-app';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';

/** A job processor whose primary is the test. */
describe('a job processor', () => {
  const cwd = tempFolder('processor');
  const heard: FromProcessor[] = [];
  const app = useSupervisorApp();
  let child: ChildProcess;
  after(async () => {
    child?.kill('SIGKILL');
    removeFolder(cwd);
  });

  const reports = () => heard.filter((message) => message.catamount === 'heartbeat');

  /** Starts a processor that fetches from the start, or is quiet. */
  const begin = (how: 'open' | 'quiet') => {
    heard.length = 0;
    child = fork(app.entryFile, [PROCESSOR_ROLE, 'tested-0', how], {
      cwd,
      env: { ...process.env, ...app.env, CATAMOUNT_CONFIG: JSON.stringify(readSettings({ env: app.env, cwd })) },
      execArgv: [],
      // It writes its log to the fifth descriptor.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'ignore'],
    });
    child.on('message', (message: FromProcessor) => heard.push(message));
    return once(child, 'close');
  };
  const tell = (message: ToProcessor) => child.send(message);
  const stop = () => tell({ catamount: 'stop', remainingMs: 600_000, handOff: false });
  const enqueue = async (name: string, flag: string) => {
    const typed = [app.entryFile, 'jobs', 'enqueue', 'WaitingJob', JSON.stringify([name, flag])];
    await promisify(execFile)(process.execPath, typed, { cwd, env: { ...process.env, ...app.env } });
  };
  const processed = () => reports().reduce((sum, { work }) => sum + work.processed, 0);

  it('that is resumed while it boots is not quiet afterwards', async () => {
    await enqueue('first', 'none');
    const exited = begin('quiet');
    tell({ catamount: 'resume' });
    await until('the job has run', () => processed() === 1);
    stop();
    assert.deepEqual(await exited, [0, null]);
    assert.equal(reports()[0]?.status.quiet, false);
  });

  it('that is told while it boots of one that has died runs the jobs of that one at once', async () => {
    await enqueue('orphan', 'none');
    // As if claimed so late that nobody else would take its process for dead.
    await app.database.query(
      `update job_queue set state = 'running', claimed_by = 'tested-9', claimed_at = now() + interval '1 hour'`,
    );
    const exited = begin('open');
    tell({ catamount: 'rescue', identity: 'tested-9' });
    await until('the job has run', () => processed() === 1);
    stop();
    assert.deepEqual(await exited, [0, null]);
  });

  it('reports the jobs that end while it stops, before it exits', async () => {
    const release = app.switchOn('hold');
    await enqueue('last', 'hold');
    const exited = begin('open');
    await until('a heartbeat reports the running job', () =>
      reports().some(({ status }) => status.inFlight.length === 1),
    );
    stop();
    const before = reports().length;
    await until('it sends a heartbeat while it stops', () => reports().length > before);
    release();
    assert.deepEqual(await exited, [0, null]);
    assert.equal(processed(), 1);
    assert.deepEqual(reports().at(-1)?.status.inFlight, []);
  });

  it('that was frozen does not report what it could not read for a standstill', async () => {
    const exited = begin('open');
    const dispatch = () =>
      reports()
        .at(-1)
        ?.status.progress.find(({ part }) => part === 'dispatch');
    await until('its dispatcher has looked', () => dispatch()?.movedMs);
    const session = new pg.Client(app.database.url);
    await session.connect();
    await session.query('begin; lock table job_queue in access exclusive mode');
    await until('its dispatcher waits for Postgres', () => dispatch()?.owedMs);
    child.kill('SIGSTOP');
    await session.end();
    const frozenAt = performance.now();
    await until('a standstill would be reported', () => performance.now() - frozenAt > 11_000);
    const before = reports().length;
    child.kill('SIGCONT');
    await until('it reports again', () => reports().length > before + 1);
    stop();
    assert.deepEqual(await exited, [0, null]);
    assert.deepEqual(
      reports().flatMap(({ status }) => status.stalled ?? []),
      [],
    );
  });
});
