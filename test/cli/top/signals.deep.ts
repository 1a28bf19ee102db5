import assert from 'node:assert/strict';
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { RecorderProcess } from '../../cluster/control/recorder-process';
import { until } from '../../support/until';

const ENTRY = path.resolve(__dirname, '../../fixtures/cli/top-on-pipes.ts');
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const LENT_AND_TAKEN = 'raw mode on\nraw mode off\nraw mode on\nraw mode off\n';
/** A shell with job control, like an interactive one: it continues when its child is stopped, then resumes that with `fg`. */
const SHELL = 'set -m; "$@"; echo "stopped: $?" >&2; fg > /dev/null';

describe('the terminal of catamount top', () => {
  let recorder: RecorderProcess;
  let child: ChildProcess;
  let drawn: string;
  let told: string;

  before(async () => {
    recorder = await RecorderProcess.start();
  });
  after(() => recorder.cleanup());
  afterEach(() => child.kill('SIGKILL'));

  async function begin(options: SpawnOptions = {}, ...shell: readonly string[]): Promise<void> {
    const [file = '', ...args] = [...shell, process.execPath, '--import', 'tsx', ENTRY, recorder.stateFile];
    child = spawn(file, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
    drawn = told = '';
    child.stdout?.on('data', (part) => {
      drawn += part;
    });
    child.stderr?.on('data', (part) => {
      told += part;
    });
    await until('it is drawn', () => drawn.includes('shop on web.1'));
    assert.ok(drawn.startsWith(ENTER));
  }
  /** Updates follow the frame, so it may be anywhere after the second ENTER, not only at the end. */
  const drawnAgain = () => drawn.split(ENTER)[2]?.includes('h help');

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const) {
    it(`is restored before ${signal} ends the process`, async () => {
      await begin();
      child.kill(signal);
      const [code, by] = await once(child, 'close');
      assert.deepEqual([code, by], [null, signal]);
      assert.ok(drawn.endsWith(LEAVE));
      assert.equal(drawn.split(LEAVE).length, 2, 'once');
      assert.equal(told, 'raw mode on\nraw mode off\n');
    });
  }

  it('is restored for the shell on Ctrl-Z, and taken over again on fg', async () => {
    await begin({}, 'bash', '-c', SHELL, 'bash');
    child.stdin?.write('\x1a');
    await until('it is drawn again', () => {
      assert.match(told, /^raw mode on\nraw mode off\nstopped: 1\d\d\nraw mode on\n$/);
      return drawnAgain();
    });
    child.stdin?.write('q');
    const [code] = await once(child, 'close');
    assert.deepEqual([code, told.replace(/stopped.*\n/, '')], [0, LENT_AND_TAKEN]);
    assert.ok(drawn.endsWith(LEAVE));
  });

  it('is taken over again at once after Ctrl-Z when no shell could resume the process', async () => {
    // A session leader: the system does not stop a process in an orphaned process group, since nobody could resume it.
    await begin({ detached: true });
    child.stdin?.write('\x1a');
    await until('it is drawn again', drawnAgain);
    child.stdin?.write('q');
    const [code] = await once(child, 'close');
    assert.deepEqual([code, told], [0, LENT_AND_TAKEN]);
  });
});
