import fs from 'node:fs';
import path from 'node:path';
import type { WorkInFlight } from './status';

/** Longer texts are cut: one line, whatever a client sends. */
const LONGEST = 500;

/**
 * In memory, where the system has such a folder: through a disk's file system a write costs five times as much, or
 * more.
 */
const MEMORY = '/dev/shm';

/**
 * Where a worker writes down what it begins, before it does: a request that blocks the event loop at once is in no
 * heartbeat. One small write into a file that nobody flushes, a few microseconds.
 */
export class RequestJournal {
  private constructor(
    readonly file: string,
    private readonly fd: number,
  ) {}

  /**
   * @param stateDir for systems that have no folder in memory.
   * @returns undefined where nothing can be written: then there is less to tell, and that is all.
   */
  static open(stateDir: string): RequestJournal | undefined {
    return RequestJournal.in(MEMORY) ?? RequestJournal.in(stateDir);
  }

  private static in(folder: string): RequestJournal | undefined {
    const file = path.join(folder, `catamount-begun-${process.pid}`);
    try {
      fs.mkdirSync(folder, { recursive: true });
      // Left by a process of the same number that was killed before its primary had opened it.
      fs.rmSync(file, { force: true });
      return new RequestJournal(file, fs.openSync(file, 'wx', 0o600));
    } catch {
      return undefined;
    }
  }

  write(what: string, id: string): void {
    try {
      // Neither of the first two can hold a blank, and nothing a line end: no request's target or id does.
      fs.writeSync(this.fd, `${Date.now()} ${id} ${what.slice(0, LONGEST)}\n`, 0);
    } catch {
      // A full disk is no reason not to serve.
    }
  }
}

/**
 * The primary's side. It keeps the file open and takes its name away, so that nothing is left of it when both are gone.
 */
export class RequestJournalReader {
  private constructor(private readonly fd: number) {}

  static take(file: string): RequestJournalReader | undefined {
    try {
      const reader = new RequestJournalReader(fs.openSync(file, 'r'));
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
    const [, at, id = '', what = ''] = /^(\d+) (\S*) (.*)$/.exec(line) ?? [];
    return at === undefined ? undefined : { what, id, ageMs: Date.now() - Number(at) };
  }

  close(): void {
    fs.closeSync(this.fd);
  }
}
