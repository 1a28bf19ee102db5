import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { readState, type TreeState } from '../../../lib/cluster/control/state-file';
import { Output } from '../../support/output';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import type { RecorderOptions } from './recorder';

const entry = path.resolve(__dirname, '../../fixtures/control/recorder.ts');

/** The process of test/fixtures/control/recorder.ts: a control server that reports each call of its operations. */
export class RecorderProcess {
  readonly cwd: string;
  readonly socket: string;
  readonly stateFile: string;
  readonly output: Output;
  readonly exited: Promise<number | null>;
  private readonly child: ChildProcess;
  private over = false;

  constructor(options: RecorderOptions = {}) {
    this.cwd = options.cwd ?? tempFolder('control');
    this.socket = options.socket ?? path.join(this.cwd, '.catamount/control.sock');
    this.stateFile = options.stateFile ?? path.join(this.cwd, '.catamount/state.json');
    const args = ['--import', require.resolve('tsx'), entry, this.socket, this.stateFile, ...(options.failing ?? [])];
    this.child = spawn(process.execPath, args, { cwd: this.cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    this.output = new Output(this.child);
    this.exited = once(this.child, 'close').then(([code]: (number | null)[]) => {
      this.over = true;
      return code ?? null;
    });
  }

  static async start(options: RecorderOptions = {}): Promise<RecorderProcess> {
    const recorder = new RecorderProcess(options);
    await recorder.said('listening');
    return recorder;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get state(): TreeState {
    const state = readState(this.stateFile);
    if (!state) throw new Error(`there is no ${this.stateFile}`);
    return state;
  }

  /** The calls of the operations with their arguments, in order, such as `scale 1`. */
  get calls(): string[] {
    return this.output.matching(({ json }) => json.name === 'called').map(({ json }) => String(json.call));
  }

  /** Waits for a line with that name after the first `from` lines. */
  async said(name: string, from = 0): Promise<Readonly<Record<string, unknown>>> {
    const line = await this.output.waitFor(({ json }) => json.name === name, { from, ended: () => this.over });
    return line.json;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async kill9(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** Kills the process, if it still runs, and removes its folder. */
  async cleanup(): Promise<void> {
    await this.kill9();
    removeFolder(this.cwd);
  }
}
