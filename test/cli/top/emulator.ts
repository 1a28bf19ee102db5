import { Writable } from 'node:stream';
import { Terminal } from '@xterm/headless';
import type { Stage } from '../../../lib/cli/top/top';
import { until } from '../../support/until';

/** A terminal with a screen: xterm without a window. */
export class Emulator {
  /** Everything that has been written to it. */
  written = '';
  private readonly terminal: Terminal;
  private readonly output: Writable;

  constructor(columns = 80, rows = 24) {
    this.terminal = new Terminal({ cols: columns, rows, allowProposedApi: true, convertEol: true });
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
    return {
      env,
      paceMs: 20,
      output: Object.defineProperties(this.output, {
        isTTY: { value: true, configurable: true },
        columns: { get: () => this.terminal.cols, configurable: true },
        rows: { get: () => this.terminal.rows, configurable: true },
      }),
    };
  }

  resize(columns: number, rows: number): void {
    this.terminal.resize(columns, rows);
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

  async shows(pattern: RegExp): Promise<string> {
    return until(`the screen shows ${pattern}`, () => pattern.exec(this.screen.join('\n'))?.[0], {
      everyMs: 20,
    }).catch((error: Error) => {
      error.message += `\nThe screen:\n${this.screen.join('\n')}`;
      throw error;
    });
  }
}
