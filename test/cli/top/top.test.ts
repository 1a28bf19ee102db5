import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { top } from '../../../lib/cli/top/top';
import { width } from '../../../lib/support/text-table';
import { Recorder } from '../../cluster/control/recorder';
import { until } from '../../support/until';
import { Emulator } from './emulator';

const UP = '\x1b[A';
const DOWN = '\x1b[B';
const SHIFT_TAB = '\x1b[Z';

describe('catamount top', () => {
  /** Shared by all tests that do not change it. */
  let shared: Recorder;
  let recorder: Recorder;
  let emulator: Emulator;
  let ended: Promise<void>;
  let callsBefore: number;

  const begin = async (failing: readonly string[] = [], env?: Record<string, string>) => {
    recorder = failing.length === 0 ? shared : await Recorder.start({ failing });
    callsBefore = orders().length;
    emulator = new Emulator();
    ended = top({ state: recorder.stateFile }, emulator.stage(env));
    await emulator.shows(/q quit/);
  };
  const orders = () => recorder.calls.filter((call) => call !== 'status');
  const calls = () => orders().slice(callsBefore);
  const called = (call: string) => until(`${call} was called`, () => calls().at(-1) === call);
  const quit = async () => {
    emulator.type('q');
    await ended;
  };
  before(async () => {
    shared = await Recorder.start();
  });
  after(() => shared.cleanup());
  afterEach(async () => {
    emulator?.type('\x03');
    await ended;
    if (recorder !== shared) await recorder.cleanup();
  });

  it('shows the tree live on the alternate screen, and restores the terminal', async () => {
    await begin();
    assert.deepEqual([emulator.showsOther, emulator.hidesCursor, emulator.rawMode], [true, true, true]);
    // Room for the events, whatever the length of the folder's path that the line about queues names.
    emulator.resize(80, 30);
    await emulator.shows(/^shop on web\.1, pid \d+, up 1 h 2 min, phase 3/m);
    await emulator.shows(/^› web 0 +4211 +ready +2\/5 +7 .* 60 MB +4 \(1 crash\)$/m);
    await emulator.shows(/^ {2}web 1 +4212 +booting/m);
    await emulator.shows(/worker 0 \(pid \d+\) was killed by SIGKILL/);
    await emulator.shows(/WelcomeEmailJob on mailer/);
    const looks = recorder.calls.length;
    await until('it has polled twice more', () => recorder.calls.length >= looks + 2);
    await quit();
    await until('the alternate screen is closed', () => !emulator.showsOther);
    assert.deepEqual([emulator.hidesCursor, emulator.rawMode], [false, false]);
    assert.equal(emulator.screen.join('').trim(), '', 'nothing is left on the screen');
  });

  it('selects a worker with the arrow and tab keys, wrapping around', async () => {
    await begin();
    for (const [keys, chosen] of [
      [DOWN, 1],
      ['\t', 0],
      [UP, 1],
      [SHIFT_TAB, 0],
    ] as const) {
      emulator.type(keys);
      await emulator.shows(new RegExp(`^› web ${chosen} `, 'm'));
    }
    assert.deepEqual(calls(), []);
  });

  it('recycles the selected worker once it is confirmed', async () => {
    await begin();
    emulator.type(DOWN);
    emulator.type('r');
    await emulator.shows(/^Recycle worker 1\? y\/n$/m);
    emulator.type('n');
    await emulator.shows(/Nothing was changed/);
    emulator.type('r');
    await emulator.shows(/Recycle worker 1\?/);
    emulator.type('y');
    await called('recycle 1');
    await emulator.shows(/Worker 1 has been replaced/);
    assert.deepEqual(calls(), ['recycle 1']);
  });

  it('starts a phased restart once it is confirmed; any key but y cancels it', async () => {
    await begin();
    for (const key of ['R', 'q', 'R', '\x1b', 'R', '\r', 'R', DOWN]) {
      emulator.type(key);
      await emulator.shows(key === 'R' ? /Restart all workers one by one/ : /Nothing was changed/);
    }
    assert.deepEqual(calls(), []);
    emulator.type('R');
    await emulator.shows(/Restart all workers/);
    emulator.type('y');
    await called('phasedRestart');
    await emulator.shows(/The phased restart is complete/);
  });

  it('scales and pauses without confirmation', async () => {
    await begin();
    emulator.type('+');
    await called('scale 1');
    await emulator.shows(/^Workers: 3$/m);
    emulator.type('-');
    await called('scale -1');
    await emulator.shows(/^Workers: 1$/m);
    emulator.type('p');
    await called('quietJobs');
    await emulator.shows(/Jobs are paused/);
  });

  it('says why a command was refused', async () => {
    await begin(['scale', '!recycle']);
    emulator.type('+');
    await emulator.shows(/^Not done: scale is refused today\.$/m);
    emulator.type('r');
    await emulator.shows(/Recycle worker 0\?/);
    emulator.type('y');
    await emulator.shows(/^Not done: recycle broke$/m);
  });

  it('keeps polling and responding while a slow command runs', async () => {
    await begin(['~phasedRestart']);
    emulator.type('R');
    await emulator.shows(/Restart all workers/);
    emulator.type('y');
    await emulator.shows(/A phased restart has begun/);
    const looks = recorder.calls.length;
    await until('it has polled twice more', () => recorder.calls.length >= looks + 2);
    emulator.type(DOWN);
    await emulator.shows(/^› web 1 /m);
    await quit();
  });

  it('explains its keys', async () => {
    await begin();
    emulator.type('h');
    await emulator.shows(/^ {2}r +recycle it/m);
    emulator.type('r');
    await emulator.shows(/q quit/);
    assert.deepEqual(calls(), []);
  });

  it('redraws when the terminal is resized', async () => {
    await begin();
    emulator.resize(50, 12);
    // A frame drawn for the old size may still arrive in between.
    const fits = () => emulator.screen[11]?.startsWith('q quit') && emulator.screen.every((text) => width(text) <= 50);
    await until('it fits, with the keys in the last line', fits);
    emulator.resize(100, 30);
    await until('the last line is the keys again', () => emulator.screen[29]?.endsWith('h help'));
    await emulator.shows(/3 shed in the last minute/);
  });

  it('writes only what has changed', async () => {
    await begin();
    await emulator.shows(/^Queues: /m);
    const before = emulator.written.length;
    const looks = recorder.calls.length;
    await until('some seconds have gone by', () => recorder.calls.length >= looks + 3);
    const whole = emulator.screen.join('').length;
    assert.ok(emulator.written.length - before < 2 * whole, `${emulator.written.length - before} of ${whole}`);
  });

  it('says that the tree is gone, and finds its successor', async () => {
    // A recorder of its own. No operation has that name, so none is refused.
    await begin(['nothing']);
    await recorder.vanish();
    await emulator.shows(/^! The data below is out of date, asking the tree again: No Catamount runs here/m);
    await emulator.shows(/^› web 0 +4211/m);
    const next = await Recorder.start({ cwd: recorder.cwd });
    await until('the next one has answered', () => !emulator.screen.join('').includes('out of date'));
    await next.cleanup();
  });

  it('uses no colours when NO_COLOR is set', async () => {
    await begin([], { TERM: 'xterm', NO_COLOR: '1' });
    const codes = emulator.written.split('\x1b[').map((code) => /^[\d;]*m/.exec(code)?.[0]);
    assert.deepEqual([...new Set(codes.filter((code) => code !== undefined))].sort(), ['0m', '1m', '7m']);
  });

  it('ends when its terminal is closed', async () => {
    await begin();
    emulator.close();
    await ended;
    assert.equal(emulator.rawMode, false);
  });

  it('prints one frame and exits when there is no terminal', async () => {
    recorder = shared;
    for (const env of [{}, { TERM: 'dumb' }]) {
      emulator = new Emulator();
      const stage = emulator.stage(env);
      const output = new PassThrough();
      let text = '';
      output.on('data', (part) => {
        text += part;
      });
      ended = top({ state: recorder.stateFile }, { ...stage, output });
      await ended;
      assert.match(text, /^shop on web\.1, pid/);
      assert.match(text, /^ {2}web 1 +4212 +booting/m);
      assert.ok(!text.includes('\x1b'));
      assert.equal(text.match(/shop on/g)?.length, 1);
    }
  });

  it('says that nothing runs here, in the words of the other commands', async () => {
    recorder = await Recorder.start();
    await recorder.vanish();
    emulator = new Emulator();
    ended = Promise.resolve();
    const nobody = top({ state: recorder.stateFile }, emulator.stage());
    await assert.rejects(nobody, { name: 'UserError', exitCode: 69, message: /^No Catamount runs here/ });
    assert.equal(emulator.written, '', 'the terminal was not touched');
  });
});
