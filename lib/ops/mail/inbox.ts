import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { openMail } from './parsed-mail';

export interface InboxEntry {
  readonly name: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly locale: string;
  readonly date: Date;
  /** Size of its file, bytes. */
  readonly size: number;
}

/** File names of the file transport. The pattern excludes slashes and a leading dot, so no path escapes the folder. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,250}\.eml$/;
const HEAD = 256 * 1024;
/** Files larger than this, bytes, are ignored. */
const MAX_MAIL_BYTES = 50_000_000;
const MAX_CACHED = 500;

/** The mails that `file` delivery has written. Names sort by time; files never change, so their entries are cached. */
export class Inbox {
  private readonly known = new Map<string, InboxEntry>();

  constructor(private readonly folder: string) {}

  /** Names of all mails, the newest first. */
  async names(): Promise<string[]> {
    const names = await fs.readdir(this.folder).catch(whenMissing<string[]>([]));
    return names
      .filter((name) => NAME.test(name))
      .sort()
      .reverse();
  }

  /** Entries of the named mails that still exist. */
  async entries(names: readonly string[]): Promise<InboxEntry[]> {
    const entries: InboxEntry[] = [];
    for (const name of names) {
      const entry = this.known.get(name) ?? (await this.look(name));
      if (entry) entries.push(entry);
    }
    return entries;
  }

  /** @returns the source of a mail; undefined when there is none. */
  async read(name: string): Promise<Buffer | undefined> {
    return NAME.test(name) ? readFile(path.join(this.folder, name), MAX_MAIL_BYTES) : undefined;
  }

  /** Deletes mails. @returns how many of them existed. */
  async remove(names: readonly string[]): Promise<number> {
    let count = 0;
    for (const name of names.filter((each) => NAME.test(each))) {
      const gone = await fs.unlink(path.join(this.folder, name)).then(() => true, whenMissing(false));
      if (gone) count++;
      this.known.delete(name);
    }
    return count;
  }

  private async look(name: string): Promise<InboxEntry | undefined> {
    const file = path.join(this.folder, name);
    const size = (await fs.stat(file).catch(whenMissing(undefined)))?.size;
    const head = size === undefined ? undefined : await readFile(file, MAX_MAIL_BYTES, HEAD);
    if (size === undefined || !head) return undefined;
    const { from, to, subject, date, locale } = await openMail(head);
    const entry = { name, from, to, subject, locale, date: date ?? new Date(0), size };
    this.remember(entry);
    return entry;
  }

  private remember(entry: InboxEntry): void {
    this.known.set(entry.name, entry);
    const [oldest] = this.known.keys();
    if (this.known.size > MAX_CACHED && oldest !== undefined) this.known.delete(oldest);
  }
}

/** Reads up to `most` bytes of a file of at most `largest` bytes; undefined for others. Follows no symbolic link. */
async function readFile(file: string, largest: number, most = largest): Promise<Buffer | undefined> {
  const handle = await fs.open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(whenMissing(undefined));
  try {
    const stat = await handle?.stat();
    if (!handle || !stat?.isFile() || stat.size > largest) return undefined;
    const buffer = Buffer.alloc(Math.min(stat.size, most));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle?.close();
  }
}

function whenMissing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT' || error.code === 'ELOOP' || error.code === 'ENOTDIR') return instead;
    throw error;
  };
}
