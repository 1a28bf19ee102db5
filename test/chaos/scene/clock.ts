import fs from 'node:fs';
import path from 'node:path';

/**
 * The wall clock of the tree's own processes. A test must not set the clock of the machine, so a preloaded module adds an
 * offset, which it reads from a file, to `Date`. Redis and Postgres keep the true time, as if they ran on another machine.
 */
export class Clock {
  constructor(private readonly file: string) {
    fs.writeFileSync(file, '0');
  }

  /** Environment variables that make a process use this clock. */
  get env(): Record<string, string> {
    return { NODE_OPTIONS: `--require ${path.join(__dirname, 'clock-offset.cjs')}`, CHAOS_CLOCK: this.file };
  }

  /** @param ms offset to the true time; 0 makes the clock correct again. */
  set(ms: number): void {
    // Renamed into place, so that no process reads a partial number.
    fs.writeFileSync(`${this.file}.next`, String(ms));
    fs.renameSync(`${this.file}.next`, this.file);
  }
}
