import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { type Output, top } from '../../lib/cli/top';
import { width } from '../../lib/support/text-table';
import { Recorder } from '../cluster/control/recorder';
import { until } from '../support/until';

/** A terminal, or a pipe, that keeps what is written to it. */
class Paper {
  text = '';
  readonly output: Output & PassThrough;

  constructor(size: Partial<Output> = {}) {
    this.output = Object.assign(new PassThrough(), size);
    this.output.on('data', (part) => {
      this.text += part;
    });
    this.output.on('error', () => undefined);
  }

  /** The lines of the last picture. */
  get picture(): string[] {
    return (this.text.split('\x1b[H').at(-1) ?? '').replaceAll('\x1b[K', '').replaceAll('\x1b[J', '').split('\n');
  }

  async shows(pattern: RegExp): Promise<void> {
    await until(`it shows ${pattern}`, () => pattern.test(this.picture.join('\n')));
  }
}

describe('catamount top', () => {
  let recorder: Recorder;
  let ended: Promise<void>;
  let paper: Paper;

  const begin = async (size: Partial<Output> = { columns: 120, rows: 30 }) => {
    paper = new Paper({ isTTY: true, ...size });
    ended = top({ state: recorder.stateFile }, paper.output, 20);
    await paper.shows(/^Catamount runs: pid \d+, phase 3/m);
  };
  beforeEach(async () => {
    recorder = await Recorder.start();
    ended = Promise.resolve();
  });
  afterEach(async () => {
    for (const name of ['DATABASE_URL', 'REDIS']) delete process.env[name];
    paper?.output.destroy();
    await ended;
    await recorder.cleanup();
  });

  it('shows what status and stats print, again and again, and sends the tree no command', async () => {
    await begin();
    await paper.shows(/^! \d+ things need you:$/m);
    await paper.shows(/^ +0 +4211 +3 +ready +2\/5 +7 .* 60 MB +1 crash, 3 phase$/m);
    await paper.shows(/^Requests: 12\/s; in the last minute 3 shed, 4 answered with 5xx$/m);
    const looks = recorder.calls.length;
    await until('it has asked twice more', () => recorder.calls.length >= looks + 2);
    assert.deepEqual([...new Set(recorder.calls)], ['status']);
    await paper.shows(/^DATABASE_URL is not set/m);
    Object.assign(process.env, { DATABASE_URL: 'postgres://127.0.0.1:1/x', REDIS: 'off' });
    await paper.shows(/^! Postgres does not answer:$/m);
  });

  it('fits the terminal, and writes no control character of a message', async () => {
    await begin({ columns: 40, rows: 6 });
    assert.ok(paper.picture.length <= 6 && paper.picture.every((line) => width(line) <= 40), paper.picture.join('\n'));
    assert.doesNotMatch(paper.picture.join(''), /\p{Cc}/u);
  });

  it('says that the tree is gone, and finds its successor', async () => {
    await begin();
    await recorder.vanish();
    await paper.shows(/^! What follows is out of date, asking again: No Catamount runs here/m);
    await paper.shows(/^ +0 +4211 +3 +ready/m);
    const next = await Recorder.start({ cwd: recorder.cwd });
    await until('the next one has answered', () => !paper.picture.join('').includes('out of date'));
    await next.cleanup();
  });

  it('ends when its terminal is closed', async () => {
    await begin();
    paper.output.destroy(new Error('write EPIPE'));
    await ended;
  });

  it('prints everything once and ends when there is no terminal', async () => {
    paper = new Paper();
    await top({ state: recorder.stateFile }, paper.output);
    assert.match(paper.text, /^ +1 +4212 +2 +booting/m);
    assert.ok(!paper.text.includes('\x1b'));
    assert.equal(paper.text.match(/Catamount runs/g)?.length, 1);
  });

  it('says that nothing runs here, in the words of the other commands', async () => {
    await recorder.vanish();
    paper = new Paper({ isTTY: true });
    const nobody = top({ state: recorder.stateFile }, paper.output);
    await assert.rejects(nobody, { name: 'UserError', exitCode: 69, message: /^No Catamount runs here/ });
    assert.equal(paper.text, '', 'the terminal was not touched');
  });
});
