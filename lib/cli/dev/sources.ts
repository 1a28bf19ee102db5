import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { deferred } from '../../support/deferred';

/** Folders without code of the app, or with only its tests. Names that begin with a dot are ignored as well. */
const NO_SOURCES = new Set(['node_modules', 'dist', 'coverage', 'test', 'tests', 'spec', '__tests__']);
const SOURCE = /\.(?:[cm]?[jt]sx?|json|ejs|html|css|svg|sql|ya?ml|graphql)$/;
const NO_SOURCE = /\.(?:test|spec)\.[cm]?[jt]sx?$|^package-lock\.json$/;
/** Delay after a change, ms, since editors write a file several times, and tools write many files. */
const SETTLE_MS = 100;

interface Seen {
  readonly stamp: string;
  readonly hash: string;
}

/**
 * Watches the sources of an app. A file has changed if its content is different, or if it has been created or deleted.
 * Writing the same content again is not a change.
 */
export class Sources {
  private readonly ignored: ReadonlySet<string>;
  private readonly watchers = new Map<string, fs.FSWatcher>();
  private readonly seen = new Map<string, Seen>();
  private wake = deferred();
  private timer: NodeJS.Timeout | undefined;

  /**
   * @param root an absolute path. @param outputs further folders to ignore, relative to it, such as a compiler's
   * output.
   */
  constructor(
    private readonly root: string,
    outputs: readonly string[],
  ) {
    this.ignored = new Set([...outputs, ...gitIgnored(root)].map((name) => path.resolve(root, name)));
    this.scan();
  }

  /** Resolves once files have changed, with their paths relative to the root. */
  async changed(): Promise<ReadonlySet<string>> {
    for (;;) {
      await this.wake.promise;
      this.wake = deferred();
      const changed = this.scan();
      if (changed.size > 0) return changed;
    }
  }

  /** @returns the files that have changed since the last scan. */
  scan(): ReadonlySet<string> {
    const changed = new Set<string>();
    const there = new Set<string>();
    this.walk(this.root, there, changed);
    for (const file of this.seen.keys()) {
      if (there.has(file)) continue;
      this.seen.delete(file);
      changed.add(file);
    }
    return changed;
  }

  close(): void {
    clearTimeout(this.timer);
    for (const watcher of this.watchers.values()) watcher.close();
  }

  private walk(folder: string, there: Set<string>, changed: Set<string>): void {
    this.watch(folder);
    for (const entry of readEntries(folder)) {
      const whole = path.join(folder, entry.name);
      if (entry.name.startsWith('.') || this.ignored.has(whole)) continue;
      if (entry.isDirectory()) {
        if (!NO_SOURCES.has(entry.name)) this.walk(whole, there, changed);
      } else if (entry.isFile() && SOURCE.test(entry.name) && !NO_SOURCE.test(entry.name)) {
        const file = path.relative(this.root, whole);
        there.add(file);
        if (this.hasChanged(whole, file)) changed.add(file);
      }
    }
  }

  /** @returns true if the content of the file differs from that of the last scan, and remembers it. */
  private hasChanged(whole: string, file: string): boolean {
    const before = this.seen.get(file);
    try {
      const { mtimeMs, size, ino } = fs.statSync(whole);
      const stamp = `${mtimeMs} ${size} ${ino}`;
      if (before?.stamp === stamp) return false;
      const hash = createHash('sha1').update(fs.readFileSync(whole)).digest('base64');
      this.seen.set(file, { stamp, hash });
      return before?.hash !== hash;
    } catch {
      // The file has just been deleted, which the next scan reports.
      return false;
    }
  }

  private watch(folder: string): void {
    if (this.watchers.has(folder)) return;
    try {
      const watcher = fs.watch(folder, () => this.wakeSoon());
      const forget = () => {
        watcher.close();
        this.watchers.delete(folder);
      };
      watcher.once('error', forget);
      this.watchers.set(folder, watcher);
    } catch {
      // The folder has already been deleted.
    }
  }

  private wakeSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.wake.resolve(), SETTLE_MS);
  }
}

function readEntries(folder: string): fs.Dirent[] {
  try {
    return fs.readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** @returns the plain names in the app's .gitignore: data, logs and the output of builds. */
function gitIgnored(root: string): string[] {
  const file = path.join(root, '.gitignore');
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  return text
    .split('\n')
    .map((line) => line.trim().replace(/^\/|\/$/g, ''))
    .filter((line) => line !== '' && !/[*?[\]!#]/.test(line));
}
