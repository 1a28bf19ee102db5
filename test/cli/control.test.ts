import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { writeState } from '../../lib/cluster/control/state-file';
import { Recorder } from '../cluster/control/recorder';
import { treeStatusOf } from '../ops/overview/tree-statuses';
import { assertSnakeCase } from '../support/json-names';
import { tempFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { catamount } from './cli-process';

/** For each command line: the call that it makes, and what it prints. All commands: test/cluster/control/commands.test.ts. */
const EXPECTED: Readonly<Record<string, readonly [string, RegExp]>> = {
  status: [
    'status',
    /^Catamount runs: pid \d+, phase 3, 1 of 2 workers ready, job processor ready\n! 3 things need you:\n {2}3 requests were shed [\s\S]*\nLast progress: due jobs 3\ss ago\nDATABASE_URL is not set/,
  ],
  'phased-restart': ['phasedRestart', /^phased-restart: done\n$/],
  'recycle 1': ['recycle 1', /^recycle: done\n$/],
  'worker-count-up': ['scale 1', /^Workers: 3\n$/],
  'jobs quiet': ['quietJobs', /^jobs quiet: done\n$/],
  'jobs resume': ['resumeJobs', /^jobs resume: done; paused queues stay paused \(jobs resume QUEUE\)\n$/],
};

const RATES = { requestsPerS: 1, shed: 0, serverErrors: 0, slowestMs: 0 };

describe('catamount control commands', () => {
  let recorder: Recorder;
  const start = async (...failing: string[]) => {
    recorder = await Recorder.start({ failing });
  };
  const run = (line: string, env?: Record<string, string>) => catamount(recorder.cwd, line.split(' '), env);
  afterEach(() => recorder.cleanup());

  it('run the operation that is typed, and print its result', async () => {
    await start();
    const ends = await Promise.all(Object.keys(EXPECTED).map(async (line) => ({ line, ...(await run(line)) })));
    for (const { line, code, stdout, stderr } of ends) {
      assert.deepEqual([code, stderr], [line === 'status' ? 3 : 0, ''], line);
      assert.match(stdout, EXPECTED[line]?.[1] ?? /^$/, line);
    }
    const calls = Object.values(EXPECTED).map(([call]) => call);
    assert.deepEqual(recorder.calls.sort(), calls.sort());
  });

  it('print stats as a table, or in full as JSON', async () => {
    await start();
    const { stdout } = await run('stats');
    const lines = stdout.split('\n').map((line) => line.trim().replace(/ {2,}/g, ' | '));
    assert.match(lines[0] ?? '', /^Catamount 0\.1\.0 on Node\.js .*: pid \d+, up 1 h 2 min$/);
    for (const line of [
      'Workers: 1 of 2 ready, phase 3, 1 of an older phase',
      'slot | pid | phase | state | busy | waiting | requests | lag p99 | memory | restarts',
      '0 | 4211 | 3 | ready | 2/5 | 7 | 1204 | 12 ms | 60 MB | 1 crash, 3 phase',
      '1 | 4212 | 2 | booting | – | – | – | – | – | 0',
      'Jobs: | pid 4213, ready, 1 running, lag p99 12 ms, memory 70 MB, restarts 2',
      'Memory: | 220 MB of 512 MB (43 %)',
      'Phased: | restart to phase 3 aborted: worker 0 did not boot: broken',
    ])
      assert.ok(lines.includes(line), `${line} is not in\n${lines.join('\n')}`);
    const stats = JSON.parse((await run('stats --json')).stdout);
    const [worker] = stats.worker_status;
    assert.equal(worker.last_status.in_flight[0].what, 'GET /slow');
    for (const [part, keys] of [
      [stats, 'started_at workers phase booted_workers old_workers worker_status'],
      [worker, 'started_at pid index phase booted last_checkin last_status'],
      [worker.last_status, 'backlog running pool_capacity busy_threads max_threads requests_count backlog_max'],
    ] as const)
      for (const key of keys.split(' ')) assert.ok(key in part, `Puma has ${key}`);
    const status = JSON.parse((await run('status --json')).stdout);
    assert.deepEqual([status.pid, status.level, status.issues[0].code], [process.pid, 'bad', 'shed']);
    assert.equal(status.tree.stats.worker_status[0].last_status.lag_p99_ms, 12.4);
    assertSnakeCase([stats, status]);
  });

  it('status exits with 2 if something needs attention, and with 1 if it could not ask the servers', async () => {
    await start();
    const stateOf = async (tree: Parameters<typeof treeStatusOf>[0]) => {
      Object.assign(recorder.operations, { status: async () => treeStatusOf(tree) });
      return (await run('status')).code;
    };
    assert.deepEqual([await stateOf({}), await stateOf({ rates: { ...RATES, serverErrors: 1 } })], [1, 2]);
  });

  it('exit with 1 and the reason when the tree refuses or fails', async () => {
    await start('phasedRestart', '!restart');
    const refused = await run('phased-restart');
    assert.deepEqual(refused, { code: 1, stdout: '', stderr: 'phasedRestart is refused today.\n' });
    assert.deepEqual(await run('restart'), { code: 1, stdout: '', stderr: 'restart broke\n' });
    const wrong = await run('stop -T wrong');
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /^The token is missing or wrong: .*\n$/);
    assert.deepEqual(recorder.calls, ['phasedRestart', 'restart']);
  });

  it('find a tree by flags or settings, from any folder', async () => {
    await start();
    const elsewhere = tempFolder('elsewhere');
    const { token } = recorder.state;
    // As a tree that was started with --only web has written it.
    writeState(path.join(elsewhere, '.catamount/state-web.json'), recorder.state);
    // Hexadecimal digits only: a token that began with a dash would be parsed as an option after --token.
    assert.match(token, /^[0-9a-f]{64}$/);
    const ways: readonly (readonly [readonly string[], Record<string, string>?])[] = [
      [['-S', recorder.stateFile]],
      [['--state', path.relative(elsewhere, recorder.stateFile)]],
      [['-C', recorder.socket, '-T', token]],
      [['--token', token], { CONTROL_SOCKET: recorder.socket }],
      [[], { STATE_FILE: recorder.stateFile }],
      [['--only', 'web']],
      [['-S', recorder.stateFile], { STATE_FILE: '/nowhere', CONTROL_SOCKET: '/nowhere' }],
    ];
    await Promise.all(
      ways.map(async ([args, env]) => {
        const { code, stderr } = await catamount(elsewhere, ['status', ...args], env);
        assert.deepEqual([code, stderr], [3, ''], args.join(' '));
      }),
    );
  });

  it('say that nothing runs when the state file is stale, without a stack trace', async () => {
    await start();
    const { stateFile: file } = recorder;
    const state = await recorder.vanish();
    const stale = `No Catamount runs here: the state file ${file} names pid ${state.pid}, which has ended.\n`;
    assert.deepEqual(await run('stats'), { code: 69, stdout: '', stderr: stale });
    // The system has reused its pid for another process: this one.
    writeState(file, { ...state, pid: process.pid });
    const reused = await run('stop');
    assert.equal(reused.code, 69);
    assert.match(reused.stderr, /which is another program now\.\n$/);
    fs.writeFileSync(file, 'half a st');
    const broken = await run('stats');
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /^.* is not a state file of Catamount\. .*\n$/);
    fs.rmSync(file);
    const none = await run('stats');
    assert.equal(none.code, 69);
    assert.match(none.stderr, /^No Catamount runs here: there is no state file .*\n$/);
  });

  it('say so when the tree ends before it has replied', async () => {
    await start('~restart');
    const asking = run('restart');
    await until('it has received the call', () => recorder.calls.length === 1);
    await recorder.stop();
    const { code, stderr } = await asking;
    assert.deepEqual([code, stderr], [1, 'The tree ended, or cut the connection, before it answered.\n']);
  });

  it('say so when nothing listens on the socket that the flags name', async () => {
    await start();
    const socket = path.join(recorder.cwd, 'none.sock');
    const { code, stderr } = await run(`restart -C ${socket}`);
    assert.deepEqual([code, stderr], [69, `No Catamount listens on ${socket}.\n`]);
  });
});
