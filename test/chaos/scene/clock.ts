import fs from 'node:fs';
import path from 'node:path';

/**
 * The wall clock as the tree's own processes see it. A test must not set the machine's: instead a module that they load
 * first adds to `Date` what a file says. Redis and Postgres keep the true time, as they do on another machine.
 */
export class Clock {
  constructor(private readonly file: string) {
    fs.writeFileSync(file, '0');
  }

  /** The environment of processes that are to see this clock. */
  get env(): Record<string, string> {
    return { NODE_OPTIONS: `--require ${path.join(__dirname, 'clock-offset.cjs')}`, CHAOS_CLOCK: this.file };
  }

  /** @param ms ahead of the true time; 0: right again. */
  set(ms: number): void {
    // Replaced at once, so that no process reads half a number.
    fs.writeFileSync(`${this.file}.next`, String(ms));
    fs.renameSync(`${this.file}.next`, this.file);
  }
}
