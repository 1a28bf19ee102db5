import fs from 'node:fs';
import path from 'node:path';
import type { WorkInFlight } from './status';

/** Maximum length of a text in the request journal, characters: an entry stays one short line, whatever a client sends. */
const MAX_REQUEST_LENGTH = 500;

/** A folder in memory, where the system has one: a write to a disk's file system takes five times as long or more. */
const MEMORY = '/dev/shm';

/**
 * A file in which a worker notes each request before it begins. A request that blocks the event loop at once appears in no
 * heartbeat, but in this file. A note costs one small unflushed write, a few microseconds.
 */
export class RequestJournal {
  private constructor(
    readonly file: string,
    private readonly fd: number,
  ) {}

  /**
   * @param stateDir fallback for systems without a folder in memory.
   * @returns undefined if no file can be written: the log then names no last request.
   */
  static open(stateDir: string): RequestJournal | undefined {
    return RequestJournal.in(MEMORY) ?? RequestJournal.in(stateDir);
  }

  private static in(folder: string): RequestJournal | undefined {
    const file = path.join(folder, `catamount-begun-${process.pid}`);
    try {
      fs.mkdirSync(folder, { recursive: true });
      // A process with the same pid may have left one, if it was killed before its primary opened it.
      fs.rmSync(file, { force: true });
      return new RequestJournal(file, fs.openSync(file, 'wx', 0o600));
    } catch {
      return undefined;
    }
  }

  write(what: string, id: string): void {
    try {
      // Split at blanks: neither the time nor the id contains one, and no request target contains a line end.
      fs.writeSync(this.fd, `${Date.now()} ${id} ${what.slice(0, MAX_REQUEST_LENGTH)}\n`, 0);
    } catch {
      // A full disk must not keep the worker from serving.
    }
  }
}

/**
 * The primary's side of a worker's `RequestJournal`. It unlinks the file but keeps it open, so the file is gone once both
 * processes are.
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

  /** The request begun last; undefined before the first. */
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
