import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';

/** The standard streams; tests pass their own. */
export interface Streams {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly errors: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

const STANDARD: Streams = { input: process.stdin, output: process.stdout, errors: process.stderr };

export class Terminal {
  constructor(private readonly streams: Streams = STANDARD) {
    // The reader of a pipe may close it early: jobs list dead | head
    streams.output.on('error', () => undefined);
  }

  /** The width of the terminal that shows the output; undefined if the output is not a terminal. */
  get columns(): number | undefined {
    const { isTTY, columns } = this.streams.output;
    return isTTY ? columns : undefined;
  }

  /** true if a person can answer a question. */
  get isInteractive(): boolean {
    return this.streams.input.isTTY === true && this.streams.errors.isTTY === true;
  }

  /** Resolves when the text has been handed to the system, so that the process may exit. */
  async print(text: string): Promise<void> {
    const { output } = this.streams;
    // A closed pipe calls back with an error.
    await new Promise<void>((resolve) => output.write(text, () => resolve()));
  }

  /** Writes a remark to standard error, which keeps standard output for the result. */
  remark(line: string): void {
    this.streams.errors.write(`${line}\n`);
  }

  /** @returns false unless the answer is yes. */
  async confirm(question: string): Promise<boolean> {
    const { input, errors: output } = this.streams;
    const prompt = createInterface({ input, output });
    const closed = once(prompt, 'close').then(() => '');
    try {
      const answer = await Promise.race([prompt.question(`${question} [y/N] `), closed]);
      return /^y(es)?$/i.test(answer.trim());
    } finally {
      prompt.close();
    }
  }

  /** Shows the progress of long work on a terminal; each call replaces the line of the one before. */
  progress(text: string): void {
    if (this.streams.errors.isTTY) this.streams.errors.write(`\r${text}\x1b[K`);
  }

  /** While the work lasts, the first Ctrl-C aborts the signal, and the second one ends the process. */
  async interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const abort = () => controller.abort();
    // Only the first Ctrl-C is caught: Redis may hang, and the user must still be able to leave.
    process.once('SIGINT', abort);
    try {
      return await work(controller.signal);
    } finally {
      process.off('SIGINT', abort);
      this.progress('');
    }
  }
}
