import fs from 'node:fs';
import path from 'node:path';

/**
 * The wall clock as the tree's own processes see it. The machine's is not ours to set: a module that is loaded before
 * theirs adds what a file says to `Date`. Redis and Postgres keep the true time, as they do on another machine.
 */
export class Clock {
  constructor(private readonly file: string) {
    fs.writeFileSync(file, '0');
  }

  /** What processes are started with that are to see it. */
  get env(): Record<string, string> {
    return { NODE_OPTIONS: `--require ${path.join(__dirname, 'clock-offset.cjs')}`, CHAOS_CLOCK: this.file };
  }

  /** @param ms ahead of the true time; 0: right again. */
  set(ms: number): void {
    // At once, so that nobody reads half a number.
    fs.writeFileSync(`${this.file}.next`, String(ms));
    fs.renameSync(`${this.file}.next`, this.file);
  }
}
