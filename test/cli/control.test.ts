import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { COMMANDS } from '../../lib/control/commands';
import { writeState } from '../../lib/control/state-file';
import { RecorderProcess } from '../control/recorder-process';
import { isRunning } from '../support/processes';
import { tempFolder } from '../support/temp-folder';
import { catamount } from './cli-process';

/** By what is typed: what the operations are called with, and what is printed. */
const EXPECTED: Readonly<Record<string, readonly [string, RegExp]>> = {
  stats: ['stats', /^Catamount 0\.1\.0 on Node\.js/],
  status: ['stats', /^Catamount runs: pid \d+, phase 3, 1 of 2 workers ready, job processor ready\n$/],
  look: ['look', /^\{\n {2}"at": "20/],
  'phased-restart': ['phasedRestart', /^phased-restart: done\n$/],
  restart: ['restart', /^restart: done\n$/],
  'recycle 1': ['recycle 1', /^recycle: done\n$/],
  'worker-count-up': ['scale 1', /^Workers: 3\n$/],
  'worker-count-down': ['scale -1', /^Workers: 1\n$/],
  'jobs quiet': ['quietJobs', /^jobs quiet: done\n$/],
  'jobs resume': ['resumeJobs', /^jobs resume: done; queues that are paused stay so \(jobs resume QUEUE\)\n$/],
  'reopen-log': ['reopenLog', /^reopen-log: done\n$/],
  gc: ['gc', /^gc: done\n$/],
  'heap-snapshot 1': ['heapSnapshot 1', /^\/tmp\/1\.heapsnapshot\n$/],
};

describe('catamount, asking a tree', () => {
  let recorder: RecorderProcess;
  const start = async (...failing: string[]) => {
    recorder = await RecorderProcess.start({ failing });
  };
  const run = (line: string, env?: Record<string, string>) => catamount(recorder.cwd, line.split(' '), env);
  afterEach(() => recorder.cleanup());

  it('has each command of the table done', async () => {
    await start();
    const ends = await Promise.all(Object.keys(EXPECTED).map(async (line) => ({ line, ...(await run(line)) })));
    for (const { line, code, stdout, stderr } of ends) {
      assert.deepEqual([code, stderr], [0, ''], line);
      assert.match(stdout, EXPECTED[line]?.[1] ?? /^$/, line);
    }
    assert.deepEqual(
      recorder.calls.sort(),
      Object.values(EXPECTED)
        .map(([call]) => call)
        .sort(),
    );
    const tested = [...Object.keys(EXPECTED), 'stop', 'halt'];
    assert.deepEqual(
      COMMANDS.filter(({ name }) => !tested.some((line) => line.startsWith(name))),
      [],
    );
  });

  for (const command of ['stop', 'halt']) {
    it(`${command}: returns when the primary is gone`, async () => {
      await start();
      const { code, stdout } = await run(command);
      assert.deepEqual([code, stdout], [0, `Stopped: pid ${recorder.pid} is gone.\n`]);
      assert.ok(!isRunning(recorder.pid));
      assert.deepEqual(recorder.calls, [command]);
    });
  }

  it('prints the stats as a table, or whole as JSON', async () => {
    await start();
    const { stdout } = await run('stats');
    const lines = stdout.split('\n').map((line) => line.trim().replace(/ {2,}/g, ' | '));
    assert.match(lines[0] ?? '', /: pid \d+, up 1 h 2 min$/);
    for (const line of [
      'Workers: 1 of 2 ready, phase 3, 1 of an older phase',
      'slot |  pid | phase | state | busy | waiting | requests | lag p99 | memory | restarts'.replace(' |  ', ' | '),
      '0 | 4211 | 3 | ready | 2/5 | 7 | 1204 | 12 ms | 61 MB | 1 crash, 3 phase',
      '1 | 4212 | 2 | booting | – | – | – | – | – | 0',
      'Jobs: | pid 4213, ready, 1 running, lag p99 3 ms, memory 70 MB, restarts 2',
      'Memory: | 256 MB of 512 MB (50 %)',
      'Phased: | restart to phase 3 given up: worker 0 did not boot: broken',
    ])
      assert.ok(lines.includes(line), `${line} is not in\n${lines.join('\n')}`);
    const stats = JSON.parse((await run('stats --json')).stdout);
    assert.equal(stats.worker_status[0].last_status.in_flight[0].what, 'GET /slow');
    assert.equal(JSON.parse((await run('status --json')).stdout).pid, recorder.pid);
  });

  it('ends with 1 and the reason when the tree refuses or fails', async () => {
    await start('phasedRestart', '!gc');
    const refused = await run('phased-restart');
    assert.deepEqual(refused, { code: 1, stdout: '', stderr: 'phasedRestart is refused today.\n' });
    assert.deepEqual(await run('gc'), { code: 1, stdout: '', stderr: 'gc broke\n' });
    const wrong = await run('stats -T wrong');
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /^The token is missing or wrong: .*\n$/);
    assert.deepEqual(await run('stop -T wrong').then(({ code }) => code), 1);
    assert.ok(isRunning(recorder.pid));
  });

  it('finds a tree by flags and by the settings, from anywhere', async () => {
    await start();
    const elsewhere = tempFolder('elsewhere');
    const { token } = recorder.state;
    for (const [args, env] of [
      [['-S', recorder.stateFile]],
      [['--state', path.relative(elsewhere, recorder.stateFile)]],
      [['-C', recorder.socket, '-T', token]],
      [['--token', token], { CONTROL_SOCKET: recorder.socket }],
      [[], { STATE_FILE: recorder.stateFile }],
      [['-S', recorder.stateFile], { STATE_FILE: '/nowhere', CONTROL_SOCKET: '/nowhere' }],
    ] as const) {
      const { code, stderr } = await catamount(elsewhere, ['status', ...args], env);
      assert.deepEqual([code, stderr], [0, ''], args.join(' '));
    }
  });

  it('says that nothing runs when the state file is stale, and never with a stack', async () => {
    await start();
    await recorder.kill9();
    const file = recorder.stateFile;
    const gone = await run('stats');
    assert.deepEqual(gone, {
      code: 69,
      stdout: '',
      stderr: `No Catamount runs here: the state file ${file} is of pid ${recorder.pid}, which is gone.\n`,
    });
    // The system has given its pid to another: this process.
    writeState(file, { ...recorder.state, pid: process.pid });
    const reused = await run('stop');
    assert.equal(reused.code, 69);
    assert.match(reused.stderr, /which is another program now\.\n$/);
    fs.writeFileSync(file, 'half a st');
    const broken = await run('stats');
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /^.* is no state file of Catamount's\. .*\n$/);
    fs.rmSync(file);
    const none = await run('stats');
    assert.equal(none.code, 69);
    assert.match(none.stderr, /^No Catamount runs here: there is no state file .*\n$/);
  });

  it('says how to reach a tree whose socket file is gone', async () => {
    await start();
    fs.rmSync(recorder.socket);
    const { code, stderr } = await run('stop');
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`^A Catamount runs here, pid ${recorder.pid}, but .* kill -TERM ${recorder.pid} stops it\\.\n$`),
    );
  });

  it('says so when the tree dies before it has answered', async () => {
    await start('~gc');
    const asking = run('gc');
    await recorder.said('called');
    await recorder.kill9();
    const { code, stderr } = await asking;
    assert.deepEqual([code, stderr], [1, 'The tree ended, or cut the connection, before it answered.\n']);
  });

  it('says that nobody listens where the flags point', async () => {
    await start();
    const socket = path.join(recorder.cwd, 'none.sock');
    const { code, stderr } = await run(`gc -C ${socket}`);
    assert.deepEqual([code, stderr], [69, `No Catamount listens on ${socket}.\n`]);
  });
});
