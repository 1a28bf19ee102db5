import fs from 'node:fs';
import path from 'node:path';
import type { WorkInFlight } from './stats';

/** Longer texts are cut: one line, whatever a client sends. */
const LONGEST = 500;

/**
 * Where a worker writes down what it begins, before it does: a request that blocks the event loop at once is in no
 * heartbeat. One small write into a file that nobody flushes, about a microsecond.
 */
export class BegunNote {
  private constructor(
    readonly file: string,
    private readonly fd: number,
  ) {}

  /** @returns undefined where the folder cannot be written to: then there is less to tell, and that is all. */
  static in(folder: string): BegunNote | undefined {
    const file = path.join(folder, `begun-${process.pid}`);
    try {
      fs.mkdirSync(folder, { recursive: true });
      fs.rmSync(file, { force: true });
      return new BegunNote(file, fs.openSync(file, 'wx', 0o600));
    } catch {
      return undefined;
    }
  }

  write(what: string, id: string): void {
    try {
      fs.writeSync(this.fd, `${JSON.stringify([what.slice(0, LONGEST), id, Date.now()])}\n`, 0);
    } catch {
      // A full disk is no reason not to serve.
    }
  }
}

/** The primary's side. It keeps the file open and takes its name away, so that nothing is left of it when both are gone. */
export class BegunReader {
  private constructor(private readonly fd: number) {}

  static take(file: string): BegunReader | undefined {
    try {
      const reader = new BegunReader(fs.openSync(file, 'r'));
      fs.rmSync(file, { force: true });
      return reader;
    } catch {
      return undefined;
    }
  }

  /** What was begun last; undefined before the first. */
  read(): WorkInFlight | undefined {
    const bytes = Buffer.alloc(4096);
    const [line = ''] = bytes.toString('utf8', 0, fs.readSync(this.fd, bytes, 0, bytes.length, 0)).split('\n');
    if (line === '') return undefined;
    const [what, id, at] = JSON.parse(line) as [string, string, number];
    return { what, id, ageMs: Date.now() - at };
  }

  close(): void {
    fs.closeSync(this.fd);
  }
}
