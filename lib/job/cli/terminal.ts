import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';

/** A standard stream, or a stand-in. */
export interface Streams {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly errors: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

const STANDARD: Streams = { input: process.stdin, output: process.stdout, errors: process.stderr };

/** Where a command is typed: a person's terminal, or a script's pipes. */
export class Terminal {
  constructor(private readonly streams: Streams = STANDARD) {
    // Whoever reads may have seen enough: jobs list dead | head
    streams.output.on('error', () => undefined);
  }

  /** Of the terminal that shows the answer; undefined when that goes elsewhere. */
  get columns(): number | undefined {
    const { isTTY, columns } = this.streams.output;
    return isTTY ? columns : undefined;
  }

  /** Somebody is there to be asked. */
  get isInteractive(): boolean {
    return this.streams.input.isTTY === true && this.streams.errors.isTTY === true;
  }

  /** Resolves when it has been handed over: the process may end then. */
  async print(text: string): Promise<void> {
    const { output } = this.streams;
    // A pipe that is closed calls back with the error.
    await new Promise<void>((resolve) => output.write(text, () => resolve()));
  }

  /** A remark beside the answer. */
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

  /** Shows how far long work is, where somebody looks; each call takes the place of the one before. */
  progress(text: string): void {
    if (this.streams.errors.isTTY) this.streams.errors.write(`\r${text}\x1b[K`);
  }

  /** Ctrl-C aborts the signal, and only the second one ends the process, for as long as the work lasts. */
  async interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const abort = () => controller.abort();
    // Once: Redis may hang, and whoever insists is let go.
    process.once('SIGINT', abort);
    try {
      return await work(controller.signal);
    } finally {
      process.off('SIGINT', abort);
      this.progress('');
    }
  }
}
