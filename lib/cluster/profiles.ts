import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../core/config';
import type { Profile } from './status';

const DAY_MS = 86_400_000;
/** What is kept. A heap snapshot holds what the process has in memory: secrets, too. */
const KEPT = {
  cpu: { ms: 7 * DAY_MS, count: 20 },
  heap: { ms: DAY_MS, count: 2 },
} as const;

/** Ends the name of a file that is not complete. What a killed primary left goes after this time, ms. */
const PART = '.part';
const PART_MS = 15 * 60_000;

const NAME =
  /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z-([a-z]+(?:-[a-z]+|-\d+)?)-(\d+)(-lag)?\.(cpuprofile|heapsnapshot)$/;

/** A profile that is kept. */
export interface KeptProfile extends Profile {
  readonly name: string;
  readonly bytes: number;
  /** false: it is being taken. */
  readonly complete: boolean;
}

/** The folder of a tree's profiles: the names of its files say all about them. */
export class ProfileFolder {
  readonly path: string;

  constructor({ stateDir }: Pick<Config, 'stateDir'>) {
    this.path = path.resolve(stateDir, 'profiles');
  }

  /** Makes the file of a profile that begins now. @returns it, and what to call when the file is complete. */
  begin(about: Omit<Profile, 'file' | 'at'>): { readonly part: string; readonly done: () => Profile } {
    const at = new Date().toISOString();
    const stamp = at.replace(/[-:.]/g, '');
    const type = about.kind === 'cpu' ? 'cpuprofile' : 'heapsnapshot';
    const who = `${about.process.replace(' ', '-')}-${about.pid}${about.automatic ? '-lag' : ''}`;
    const file = path.join(this.path, `${stamp}-${who}.${type}`);
    const part = file + PART;
    fs.mkdirSync(this.path, { recursive: true, mode: 0o700 });
    fs.writeFileSync(part, '', { mode: 0o600 });
    const done = () => {
      fs.renameSync(part, file);
      return { ...about, file, at };
    };
    return { part, done };
  }

  /** The newest first. */
  list(): readonly KeptProfile[] {
    const names = fs.existsSync(this.path) ? fs.readdirSync(this.path) : [];
    return names.flatMap((name) => this.read(name) ?? []).sort((a, b) => (a.at < b.at ? 1 : -1));
  }

  /** @returns undefined if there is no complete one of that name. */
  find(name: string): KeptProfile | undefined {
    return this.list().find((profile) => profile.complete && profile.name === name);
  }

  /** Removes those that are too old, or too many. */
  prune(now = Date.now()): void {
    const count = { cpu: 0, heap: 0 };
    for (const { file, kind, at, complete } of this.list()) {
      const ageMs = now - Date.parse(at);
      const kept = complete ? ageMs < KEPT[kind].ms && ++count[kind] <= KEPT[kind].count : ageMs < PART_MS;
      if (!kept) fs.rmSync(file, { force: true });
    }
  }

  private read(name: string): KeptProfile | undefined {
    const complete = !name.endsWith(PART);
    const read = NAME.exec(complete ? name : name.slice(0, -PART.length));
    const file = path.join(this.path, name);
    const bytes = fs.statSync(file, { throwIfNoEntry: false })?.size;
    if (!read || bytes === undefined) return undefined;
    const [, year, month, day, hour, minute, second, ms, process = '', pid, lag, type] = read;
    return {
      file,
      name,
      kind: type === 'cpuprofile' ? 'cpu' : 'heap',
      process: process.replace('-', ' '),
      pid: Number(pid),
      at: `${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`,
      automatic: lag !== undefined,
      bytes,
      complete,
    };
  }
}
