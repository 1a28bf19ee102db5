import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { markProcesses, processesOfRun } from '../../support/run-processes';

const TASK_PROCESS = path.join(__dirname, 'task-process.js');
/** Time that a process may take to exit after its result, ms; then it is killed. */
const EXIT_MS = 10_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Time that all killed processes may take to be gone, ms, as the kernel may still have to write for them. */
const GONE_MS = 10_000;

/** A process is killed after this time, ms. */
const LIMIT_MS = 600_000;
/** The longest timer, for a process that serves the whole run. */
export const NO_LIMIT = 2 ** 31 - 1;

/** A forked process that gets a task and sends messages about it. */
export class Child {
  private readonly process: ChildProcess;
  private readonly inbox: unknown[] = [];
  private readonly timer: NodeJS.Timeout;
  private wake: () => void = () => undefined;

  /** @param file path of a compiled module. @param task is passed as the first argument, as JSON. */
  constructor(
    private readonly file: string,
    task: object = {},
    limitMs = LIMIT_MS,
  ) {
    this.process = fork(file, [JSON.stringify(task)], { execArgv: ['--require', TASK_PROCESS] });
    this.process.on('message', (message) => {
      this.inbox.push(message);
      this.wake();
    });
    this.process.once('exit', () => this.wake());
    this.timer = setTimeout(() => this.process.kill('SIGKILL'), limitMs);
  }

  send(message: string | object): void {
    this.process.send(message);
  }

  /** Resolves with the next message. @throws Error when the process ends first. */
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

  /** Kills a process that would wait for further messages. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended();
  }

  /** Resolves when the process is gone, since one that is still exiting would slow down the next run. */
  async ended(): Promise<void> {
    const late = setTimeout(() => this.process.kill('SIGKILL'), EXIT_MS);
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit');
    clearTimeout(late);
    clearTimeout(this.timer);
  }
}

/** Runs a task in a process of its own to its end. @returns its result. */
export async function runChild<T>(file: string, task: object): Promise<T> {
  const child = new Child(file, task);
  try {
    return await child.next<T>();
  } finally {
    await child.ended();
  }
}

/** Makes a signal end all processes that the run has started, trees, Redis and Postgres included, before it exits. */
export function endOnSignals(): void {
  markProcesses();
  let ending = false;
  for (const signal of SIGNALS) {
    // A terminal also sends the signal to npm, which forwards it, so it arrives twice.
    process.on(signal, () => {
      if (ending) return;
      ending = true;
      process.stderr.write(`\n${signal}: ending everything that was started\n`);
      void endWhatIsLeft().then(() => process.exit(128 + os.constants.signals[signal]));
    });
  }
}

/** Ends all processes that the run has started and not ended itself, as after a failure. */
export async function endWhatIsLeft(): Promise<void> {
  const end = performance.now() + GONE_MS;
  // The death of one process may make the run start another before it fails, so the list is read again.
  for (let left = processesOfRun(); left.length > 0 && performance.now() < end; left = processesOfRun()) {
    for (const { pid, command } of left) kill(pid, command);
    await wait(50);
  }
}

/** Postgres gets SIGQUIT instead of SIGKILL, since it has to end its child processes and release shared memory. */
function kill(pid: number, command: string): void {
  if (/^postgres: /.test(command)) return;
  try {
    process.kill(pid, /\/postgres -D /.test(command) ? 'SIGQUIT' : 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
