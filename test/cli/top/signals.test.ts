import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { RecorderProcess } from '../../control/recorder-process';
import { until } from '../../support/until';

const ENTRY = path.resolve(__dirname, '../../fixtures/cli/top-on-pipes.ts');
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';

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

  beforeEach(async () => {
    child = spawn(process.execPath, ['--import', 'tsx', ENTRY, recorder.stateFile], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    drawn = told = '';
    child.stdout?.on('data', (part) => {
      drawn += part;
    });
    child.stderr?.on('data', (part) => {
      told += part;
    });
    await until('it is drawn', () => drawn.includes('shop on web.1'));
    assert.ok(drawn.startsWith(ENTER));
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const) {
    it(`is given back before ${signal} ends it`, async () => {
      child.kill(signal);
      const [code, by] = await once(child, 'close');
      assert.deepEqual([code, by], [null, signal]);
      assert.ok(drawn.endsWith(LEAVE));
      assert.equal(drawn.split(LEAVE).length, 2, 'once');
      assert.equal(told, 'raw mode on\nraw mode off\n');
    });
  }

  it('is given back by q and by Ctrl-C, and the process ends at once', async () => {
    child.stdin?.write('\x03');
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    assert.ok(drawn.endsWith(LEAVE));
  });

  it('is lent to the shell by Ctrl-Z, and taken again after it', async () => {
    child.stdin?.write('\x1a');
    await until('the terminal is given back', () => drawn.endsWith(LEAVE));
    await until('the raw mode is off', () => told === 'raw mode on\nraw mode off\n');
    child.kill('SIGCONT');
    await until('it is drawn again', () => drawn.split(ENTER).length === 3 && drawn.endsWith('h help\x1b[0m\x1b[K'));
    child.stdin?.write('q');
    const [code] = await once(child, 'close');
    assert.deepEqual([code, told], [0, 'raw mode on\nraw mode off\nraw mode on\nraw mode off\n']);
    assert.ok(drawn.endsWith(LEAVE));
  });
});
