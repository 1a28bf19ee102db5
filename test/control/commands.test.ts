import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ask } from '../../lib/control/client';
import { COMMANDS, commandTable, pathOf } from '../../lib/control/commands';
import { until } from '../support/until';
import { RecorderProcess } from './recorder-process';
import { socketRequest } from './socket-request';

/** By path: what the operations are called with, and the answer. */
const EXPECTED: Readonly<Record<string, readonly [string, object]>> = {
  '/phased-restart': ['phasedRestart', { status: 'ok' }],
  '/restart': ['restart', { status: 'ok' }],
  '/worker-count-up': ['scale 1', { status: 'ok', workers: 3 }],
  '/worker-count-down': ['scale -1', { status: 'ok', workers: 1 }],
  '/jobs/quiet': ['quietJobs', { status: 'ok' }],
  '/jobs/resume': ['resumeJobs', { status: 'ok' }],
  '/reopen-log': ['reopenLog', { status: 'ok' }],
  '/gc': ['gc', { status: 'ok' }],
  '/recycle/1': ['recycle 1', { status: 'ok' }],
  '/heap-snapshot/1': ['heapSnapshot 1', { status: 'ok', file: '/tmp/1.heapsnapshot' }],
};

/** SIGTERM and SIGINT end the process: they have a test of their own. */
const SIGNALS: Readonly<Partial<Record<NodeJS.Signals, string>>> = {
  SIGUSR2: 'phasedRestart',
  SIGTTIN: 'scale 1',
  SIGTTOU: 'scale -1',
  SIGTSTP: 'quietJobs',
  SIGHUP: 'reopenLog',
};

describe('commands', () => {
  let recorder: RecorderProcess;
  let authorization: { readonly authorization: string };
  const start = async (...failing: string[]) => {
    recorder = await RecorderProcess.start({ failing });
    authorization = { authorization: `Bearer ${recorder.state.token}` };
  };
  const post = (path: string) => socketRequest(recorder.socket, 'POST', path, authorization);
  const get = (path: string) => socketRequest(recorder.socket, 'GET', path, authorization);
  afterEach(() => recorder.cleanup());

  it('do each what they say, by socket', async () => {
    await start();
    for (const [path, [call, answer]] of Object.entries(EXPECTED)) {
      const { status, body } = await post(path);
      assert.deepEqual({ status, body }, { status: 200, body: answer }, path);
      await until(`${path} has called ${call}`, () => recorder.calls.at(-1) === call);
    }
    const stats = await get('/stats');
    assert.equal(stats.status, 200);
    assert.equal(stats.body.pid, recorder.pid);
    assert.equal((stats.body.worker_status as unknown[]).length, 2);
    const { started_at, ...summary } = (await get('/status')).body;
    assert.ok(Date.parse(String(started_at)) < Date.now());
    const rest = { phase: 3, workers: 2, booted_workers: 1, job_processor: 'ready' };
    assert.deepEqual(summary, { status: 'ok', pid: recorder.pid, ...rest });
    const look = await get('/look');
    assert.deepEqual([look.status, look.body.name, look.body.app], [200, 'web.1', 'shop']);
    const tested = [...Object.keys(EXPECTED), '/stats', '/look', '/status', '/stop', '/halt'];
    assert.deepEqual(
      COMMANDS.filter((command) => !tested.some((path) => path.startsWith(pathOf(command)))),
      [],
    );
  });

  it('do each the same by signal, every time it comes', async () => {
    await start();
    const expected: string[] = [];
    for (let round = 1; round <= 2; round++) {
      for (const [signal, call] of Object.entries(SIGNALS)) {
        recorder.signal(signal as NodeJS.Signals);
        expected.push(call);
        await until(`${signal} has called ${call}`, () => recorder.calls.length === expected.length);
      }
    }
    assert.deepEqual(recorder.calls, expected);
    const inTable = COMMANDS.flatMap(({ signals }) => signals);
    assert.deepEqual(inTable.sort(), [...Object.keys(SIGNALS), 'SIGTERM', 'SIGINT'].sort());
  });

  for (const path of ['/stop', '/halt']) {
    it(`answer ${path} before they end the process`, async () => {
      await start();
      const { status, body } = await post(path);
      assert.equal(status, 202);
      assert.deepEqual(body, { status: 'ok', pid: recorder.pid, shutdown_timeout_ms: 5000 });
      assert.equal(await recorder.exited, path === '/stop' ? 0 : 1);
      assert.deepEqual(recorder.calls, [path.slice(1)]);
    });
  }

  it('tell why they were refused, and what broke, and go on', async () => {
    await start('phasedRestart', '!gc', 'scale', '!stop');
    const refused = await post('/phased-restart');
    assert.deepEqual([refused.status, refused.body], [409, { error: 'phasedRestart is refused today.' }]);
    const broken = await post('/gc');
    assert.deepEqual([broken.status, broken.body], [500, { error: 'gc broke' }]);
    assert.deepEqual(await recorder.said('error'), { name: 'error', message: 'gc broke', during: 'the command gc' });
    recorder.signal('SIGTTOU');
    const { message } = await recorder.said('warning');
    assert.equal(message, 'SIGTTOU (worker-count-down): scale is refused today.');
    const from = recorder.output.lines.length;
    assert.equal((await post('/stop')).status, 202);
    assert.equal((await recorder.said('error', from)).during, 'the command stop');
    assert.equal((await get('/status')).status, 200);
  });

  it('wait for what is slow, but hold nobody up', async () => {
    await start('~phasedRestart');
    const waiting = post('/phased-restart').catch((error: NodeJS.ErrnoException) => error.code);
    await recorder.said('called');
    assert.equal((await get('/status')).status, 200);
    recorder.signal('SIGTERM');
    assert.equal(await waiting, 'ECONNRESET');
    assert.equal(await recorder.exited, 0);
  });

  it('are not waited for without end when the primary hangs', async () => {
    await start();
    recorder.signal('SIGSTOP');
    const [stats = assert.fail()] = COMMANDS;
    const { socket, state } = recorder;
    const message = `${socket} took the command, but has not answered in 0.2 s.`;
    await assert.rejects(ask({ socket, token: state.token }, stats, 0, 200), { name: 'UserError', message });
    recorder.signal('SIGCONT');
    assert.equal((await get('/status')).status, 200);
  });
});

describe('the table of commands', () => {
  it('stands in the README', () => {
    const readme = fs.readFileSync(path.resolve(__dirname, '../../README.md'), 'utf8');
    assert.ok(readme.includes(commandTable()), `README.md should hold\n${commandTable()}`);
  });

  it('is Markdown with a row each', () => {
    const rows = commandTable().split('\n');
    assert.equal(rows.length, COMMANDS.length + 2);
    assert.ok(rows.every((row) => row.split('|').length === 5));
    assert.ok(rows.some((row) => row.startsWith('| `catamount stop` | `TERM`, `INT` |')));
    assert.ok(rows.some((row) => row.startsWith('| `catamount heap-snapshot N` | – |')));
  });
});
