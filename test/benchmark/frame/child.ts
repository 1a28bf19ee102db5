import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** How long a process may take to leave once it has told its result, ms. */
const LEAVE_MS = 10_000;
const LEAVE_WITH_PARENT = path.join(__dirname, 'leave-with-parent.js');

export interface ChildOptions {
  readonly execArgv?: readonly string[];
  /** No run takes longer than this, ms. */
  readonly limitMs?: number;
}

/** A process of this folder's that works on one task and tells what came of it. */
export class Child {
  private readonly process: ChildProcess;
  private readonly inbox: unknown[] = [];
  private readonly timer: NodeJS.Timeout;
  private wake: () => void = () => undefined;

  /** @param file compiled, to be forked. @param task becomes the first argument, as JSON. */
  constructor(
    private readonly file: string,
    task: object,
    { execArgv = [], limitMs = 600_000 }: ChildOptions = {},
  ) {
    this.process = fork(file, [JSON.stringify(task)], { execArgv: ['--require', LEAVE_WITH_PARENT, ...execArgv] });
    this.process.on('message', (message) => {
      this.inbox.push(message);
      this.wake();
    });
    this.process.once('exit', () => this.wake());
    this.timer = setTimeout(() => this.process.kill('SIGKILL'), limitMs);
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  send(message: string | object): void {
    this.process.send(message);
  }

  /** @throws when the process ends before it has said anything more. */
  async next<T>(): Promise<T> {
    while (this.inbox.length === 0) {
      const { exitCode, signalCode } = this.process;
      if (exitCode !== null || signalCode !== null) {
        throw new Error(`${this.file} ended by ${signalCode ?? `code ${exitCode}`} without a result`);
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.inbox.shift() as T;
  }

  /** For those that wait for more to do. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended();
  }

  /** Resolves when it is gone: one that is still leaving would take part in the next run. */
  async ended(): Promise<void> {
    const late = setTimeout(() => this.process.kill('SIGKILL'), LEAVE_MS);
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit');
    clearTimeout(late);
    clearTimeout(this.timer);
  }
}

/** Runs a task to its end. @returns its result. */
export async function runChild<T>(file: string, task: object, options?: ChildOptions): Promise<T> {
  const child = new Child(file, task, options);
  try {
    return await child.next<T>();
  } finally {
    await child.ended();
  }
}
