import { PassThrough, Writable } from 'node:stream';
import { Terminal } from '@xterm/headless';
import type { Stage } from '../../../lib/cli/top/top';
import { until } from '../../support/until';

/** Fast, except for the timeout of a reply. */
const PACE = { treeMs: 20, answerMs: 60_000, storesMs: 20, secondReadingMs: 5 };

/** A terminal with a screen and a keyboard: xterm without a window. */
export class Emulator {
  /** Everything that has been written to it. */
  written = '';
  rawMode = false;
  private readonly terminal: Terminal;
  private readonly input = new PassThrough();
  private readonly output: Writable;

  constructor(columns = 80, rows = 24) {
    this.terminal = new Terminal({ cols: columns, rows, allowProposedApi: true });
    this.output = new Writable({
      decodeStrings: false,
      write: (text: string | Buffer, _encoding, done) => {
        this.written += text.toString();
        this.terminal.write(text, done);
      },
    });
    this.output.on('error', () => undefined);
  }

  stage(env: Stage['env'] = { TERM: 'xterm' }): Stage {
    const setRawMode = (raw: boolean) => {
      this.rawMode = raw;
    };
    return {
      env,
      pace: PACE,
      input: Object.assign(this.input, { isTTY: true, setRawMode }),
      output: Object.defineProperties(this.output, {
        isTTY: { value: true, configurable: true },
        columns: { get: () => this.terminal.cols, configurable: true },
        rows: { get: () => this.terminal.rows, configurable: true },
      }),
    };
  }

  /** @param keys as a terminal sends them: `\x1b[B` is an arrow down. */
  type(keys: string): void {
    this.input.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.terminal.resize(columns, rows);
    this.output.emit('resize');
  }

  /** Closes it: writes to it fail from then on. */
  close(): void {
    this.output.destroy(new Error('write EPIPE'));
  }

  /** The text on the screen, line by line. */
  get screen(): string[] {
    const { active } = this.terminal.buffer;
    return Array.from({ length: this.terminal.rows }, (_, row) => active.getLine(row)?.translateToString(true) ?? '');
  }

  /** Whether it shows its alternate screen, which leaves the shell's as it was. */
  get showsOther(): boolean {
    return this.terminal.buffer.active.type === 'alternate';
  }

  get hidesCursor(): boolean {
    return this.written.lastIndexOf('\x1b[?25l') > this.written.lastIndexOf('\x1b[?25h');
  }

  async shows(pattern: RegExp): Promise<string> {
    return until(`the screen shows ${pattern}`, () => pattern.exec(this.screen.join('\n'))?.[0], {
      everyMs: 20,
    }).catch((error: Error) => {
      error.message += `\nThe screen:\n${this.screen.join('\n')}`;
      throw error;
    });
  }
}
