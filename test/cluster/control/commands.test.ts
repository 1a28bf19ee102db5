import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ask } from '../../../lib/cluster/control/client';
import { commandPath, commandUsage, readTree, TREE_COMMANDS } from '../../../lib/cluster/control/commands';
import { assertSnakeCase } from '../../support/json-names';
import { until } from '../../support/until';
import { Recorder, SAMPLE_PROFILE } from './recorder';
import { socketRequest } from './socket-request';

/** By path: the expected call of an operation, and the response. */
const EXPECTED: Readonly<Record<string, readonly [string, object]>> = {
  '/phased-restart': ['phasedRestart', { status: 'ok' }],
  '/restart': ['restart', { status: 'ok' }],
  '/worker-count-up': ['scale 1', { status: 'ok', workers: 3 }],
  '/worker-count-down': ['scale -1', { status: 'ok', workers: 1 }],
  '/jobs/quiet': ['quietJobs', { status: 'ok' }],
  '/jobs/resume': ['resumeJobs', { status: 'ok' }],
  '/profile/4211': ['profile 4211 10', SAMPLE_PROFILE],
  '/profile/4211/3': ['profile 4211 3', SAMPLE_PROFILE],
  '/heap-snapshot/4211': ['heapSnapshot 4211', SAMPLE_PROFILE],
  '/max-threads/9': ['setMaxThreads 9', { status: 'ok', max_threads: 9 }],
  '/recycle/1': ['recycle 1', { status: 'ok' }],
};

describe('the commands of the control socket', () => {
  let recorder: Recorder;
  let authorization: { readonly authorization: string };
  const start = async (...failing: string[]) => {
    recorder = await Recorder.start({ failing });
    authorization = { authorization: `Bearer ${recorder.state.token}` };
  };
  const post = (path: string) => socketRequest(recorder.socket, 'POST', path, authorization);
  const get = (path: string) => socketRequest(recorder.socket, 'GET', path, authorization);
  afterEach(() => recorder.cleanup());

  it('each call their operation and answer with its result', async () => {
    await start();
    for (const [path, [call, answer]] of Object.entries(EXPECTED)) {
      const { status, body } = await post(path);
      assert.deepEqual({ status, body }, { status: 200, body: answer }, path);
      assert.equal(recorder.calls.at(-1), call);
    }
    const stats = await get('/stats');
    assert.equal(stats.status, 200);
    assert.equal(stats.body.pid, process.pid);
    assert.equal((stats.body.worker_status as unknown[]).length, 2);
    const { stacks } = (await get('/stacks')).body as { stacks: Record<string, unknown>[] };
    assert.deepEqual(
      stacks.map(({ process, in_flight, failure }) => [process, (in_flight as unknown[]).length, failure]),
      [
        ['worker 0', 1, null],
        ['worker 1', 0, null],
        ['job processor', 0, 'it does not answer'],
      ],
    );
    const { started_at, tree, ...summary } = (await get('/status')).body;
    assert.ok(Date.parse(String(started_at)) < Date.now());
    const rest = { phase: 3, workers: 2, booted_workers: 1, job_processor: 'ready' };
    assert.deepEqual(summary, { status: 'ok', pid: process.pid, ...rest });
    const { name, app } = tree as { name: string; app: string };
    assert.deepEqual([name, app], ['web.1', 'shop']);
    assertSnakeCase([stats.body, tree, stacks]);
    // `catamount top` reads the same status from the response as the primary has.
    const { at, ...told } = readTree({ tree });
    const { at: later, ...own } = await recorder.operations.status();
    assert.ok(Date.parse(at) <= Date.parse(later));
    assert.deepEqual(JSON.stringify(told).replace(/\d{4}-[^"]+/g, ''), JSON.stringify(own).replace(/\d{4}-[^"]+/g, ''));
    const tested = [...Object.keys(EXPECTED), '/stats', '/status', '/stacks', '/stop', '/halt'];
    assert.deepEqual(
      TREE_COMMANDS.filter((command) => !tested.some((path) => path.startsWith(commandPath(command)))),
      [],
    );
  });

  it('answer /stop before the process ends', async () => {
    await start();
    const { status, body } = await post('/stop');
    assert.equal(status, 202);
    assert.deepEqual(body, { status: 'ok', pid: process.pid, shutdown_timeout_ms: 5000 });
    await until('it is carried out', () => recorder.calls.join() === 'stop');
  });

  it('answer with the reason of a rejection or a failure, and the server keeps serving', async () => {
    await start('phasedRestart', '!restart', '!stop');
    const refused = await post('/phased-restart');
    assert.deepEqual([refused.status, refused.body], [409, { error: 'phasedRestart is refused today.' }]);
    const broken = await post('/restart');
    assert.deepEqual([broken.status, broken.body], [500, { error: 'restart broke' }]);
    assert.equal((await post('/stop')).status, 202);
    await until('stop has been tried', () => recorder.complaints.length === 2);
    assert.deepEqual(recorder.complaints, ['the command restart: restart broke', 'the command stop: stop broke']);
    assert.equal((await get('/status')).status, 200);
  });

  it('wait for a slow operation without delaying other commands or a stop', async () => {
    await start('~phasedRestart');
    const waiting = post('/phased-restart').catch((error: NodeJS.ErrnoException) => error.code);
    await until('it is under way', () => recorder.calls.length === 1);
    assert.equal((await get('/status')).status, 200);
    await recorder.stop();
    assert.equal(await waiting, 'ECONNRESET');
  });

  it('fail with a timeout on the client when the primary hangs', async () => {
    await start('~stats');
    const [stats = assert.fail()] = TREE_COMMANDS;
    const { socket, state } = recorder;
    const message = `${socket} took the command, but has not answered in 0.02 s.`;
    await assert.rejects(ask({ socket, token: state.token }, stats, [], 20), { name: 'UserError', message });
  });
});

describe('the table of commands', () => {
  it('is printed in the guide, one row per command', () => {
    const rows = TREE_COMMANDS.map((command) => {
      const signals = command.signals.map((signal) => `\`${signal.slice('SIG'.length)}\``).join(', ');
      return `| \`catamount ${commandUsage(command)}\` | ${signals || '–'} | ${command.help} |`;
    });
    const guide = fs.readFileSync(path.resolve(__dirname, '../../../lib/cluster/README.md'), 'utf8');
    assert.ok(guide.includes(rows.join('\n')), `lib/cluster/README.md should hold\n${rows.join('\n')}`);
  });
});
