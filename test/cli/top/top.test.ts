import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { top } from '../../../lib/cli/top/top';
import { width } from '../../../lib/support/text-table';
import { Recorder } from '../../cluster/control/recorder';
import { until } from '../../support/until';
import { Emulator } from './emulator';

describe('catamount top', () => {
  let recorder: Recorder;
  let emulator: Emulator;
  let ended: Promise<void>;

  const begin = async (env?: Record<string, string>) => {
    emulator = new Emulator(80, 30);
    ended = top({ state: recorder.stateFile }, emulator.stage(env));
    await emulator.shows(/^shop on web\.1, pid \d+, up 1 h 2 min, phase 3/m);
  };
  beforeEach(async () => {
    recorder = await Recorder.start();
    ended = Promise.resolve();
  });
  afterEach(async () => {
    emulator?.close();
    await ended;
    await recorder.cleanup();
  });

  it('shows the tree live, and sends it no command', async () => {
    await begin();
    await emulator.shows(/^ {2}web 0 +4211 +ready +2\/5 +7 .* 60 MB +4 \(1 crash\)$/m);
    await emulator.shows(/^ {2}web 1 +4212 +booting/m);
    await emulator.shows(/^Queues: /m);
    const looks = recorder.calls.length;
    await until('it has polled twice more', () => recorder.calls.length >= looks + 2);
    assert.deepEqual([...new Set(recorder.calls)], ['status']);
  });

  it('fits a terminal that is resized', async () => {
    await begin();
    emulator.resize(50, 12);
    const isDrawn = () =>
      emulator.screen[0]?.startsWith('shop on') && emulator.screen.every((text) => width(text) <= 50);
    await until('it fits', isDrawn);
    emulator.resize(100, 30);
    await emulator.shows(/3 shed in the last minute/);
  });

  it('says that the tree is gone, and finds its successor', async () => {
    await begin();
    await recorder.vanish();
    await emulator.shows(/^! The data below is out of date, asking the tree again: No Catamount runs here/m);
    await emulator.shows(/^ {2}web 0 +4211/m);
    const next = await Recorder.start({ cwd: recorder.cwd });
    await until('the next one has answered', () => !emulator.screen.join('').includes('out of date'));
    await next.cleanup();
  });

  it('uses no colours when NO_COLOR is set', async () => {
    await begin({ TERM: 'xterm', NO_COLOR: '1' });
    const codes = emulator.written.split('\x1b[').map((code) => /^[\d;]*m/.exec(code)?.[0]);
    assert.deepEqual([...new Set(codes.filter((code) => code !== undefined))].sort(), ['0m', '1m']);
  });

  it('ends when its terminal is closed', async () => {
    await begin();
    emulator.close();
    await ended;
  });

  it('prints one frame and exits when there is no terminal', async () => {
    for (const env of [{}, { TERM: 'dumb' }]) {
      emulator = new Emulator();
      const output = new PassThrough();
      let text = '';
      output.on('data', (part) => {
        text += part;
      });
      ended = top({ state: recorder.stateFile }, { ...emulator.stage(env), output });
      await ended;
      assert.match(text, /^shop on web\.1, pid/);
      assert.match(text, /^ {2}web 1 +4212 +booting/m);
      assert.ok(!text.includes('\x1b'));
      assert.equal(text.match(/shop on/g)?.length, 1);
    }
  });

  it('says that nothing runs here, in the words of the other commands', async () => {
    await recorder.vanish();
    emulator = new Emulator();
    const nobody = top({ state: recorder.stateFile }, emulator.stage());
    await assert.rejects(nobody, { name: 'UserError', exitCode: 69, message: /^No Catamount runs here/ });
    assert.equal(emulator.written, '', 'the terminal was not touched');
  });
});
