import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';
import { Deadline } from '../support/deadline';
import { makeFolder, type User } from './data-folder';
import { poll } from './poll';
import { hasArgument, isAlive, startedAt } from './process-table';

/** Longest wait for a keeper that is just stopping a former run's servers. */
const KEEPER_MS = 30_000;

interface Holder {
  readonly pid: number;
  readonly role: 'primary' | 'keeper';
  readonly startedAt?: string;
}

/**
 * The exclusive right to run servers in a folder. Claims are numbered files, `<state folder>/claims/<n>`; the highest
 * number counts, and is free when its holder is dead or has released it. One takes over by creating the next number,
 * which the file system grants to one process only. The highest file is never deleted, so a number never comes back:
 * whoever creates a number that existed before finds a higher one beside it and has lost.
 */
export class FolderClaim {
  private constructor(
    readonly folder: string,
    readonly number: number,
  ) {}

  /** @throws UserError when another Catamount runs in the state folder. */
  static async take(stateDir: string, actingFor: User | undefined): Promise<FolderClaim> {
    const folder = path.join(stateDir, 'claims');
    makeFolder(folder, actingFor);
    const mine: Holder = { pid: process.pid, role: 'primary', startedAt: (await startedAt(process.pid)) ?? '' };
    for (;;) {
      const highest = highestNumber(folder);
      await waitUntilFree(folder, highest, stateDir);
      const claim = new FolderClaim(folder, highest + 1);
      if (claim.create(mine) && highestNumber(folder) === claim.number) {
        claim.sweep();
        return claim;
      }
    }
  }

  release(): void {
    try {
      fs.writeFileSync(this.draft, 'released');
      fs.renameSync(this.draft, this.file(this.number));
    } catch {
      // The folder was removed: there is nothing left to claim.
    }
  }

  private get draft(): string {
    return path.join(this.folder, `draft-${process.pid}`);
  }

  private file(number: number): string {
    return path.join(this.folder, String(number));
  }

  /** A link appears with its content or not at all. @returns false when somebody else has the number. */
  private create(holder: Holder): boolean {
    fs.writeFileSync(this.draft, JSON.stringify(holder));
    try {
      fs.linkSync(this.draft, this.file(this.number));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    } finally {
      fs.rmSync(this.draft, { force: true });
    }
  }

  private sweep(): void {
    for (const number of numbers(this.folder)) {
      if (number < this.number) fs.rmSync(this.file(number), { force: true });
    }
  }
}

async function waitUntilFree(folder: string, number: number, stateDir: string): Promise<void> {
  const holder = await liveHolder(folder, number);
  if (holder === undefined) return;
  if (holder.role === 'keeper') {
    const free = async () => (await liveHolder(folder, number)) === undefined;
    if (await poll(free, Deadline.after(KEEPER_MS))) return;
  }
  throw new UserError(
    `Another Catamount, pid ${holder.pid}, runs in this folder (${stateDir}). ` +
      'Stop it first, or start this one in a checkout of its own.',
  );
}

async function liveHolder(folder: string, number: number): Promise<Holder | undefined> {
  let holder: Holder;
  try {
    holder = JSON.parse(fs.readFileSync(path.join(folder, String(number)), 'utf8')) as Holder;
  } catch (error) {
    // Not there (nobody yet, or swept since), or released.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (!isAlive(holder.pid)) return undefined;
  const same =
    holder.role === 'keeper'
      ? await hasArgument(holder.pid, folder)
      : (await startedAt(holder.pid)) === holder.startedAt;
  return same ? holder : undefined;
}

function numbers(folder: string): number[] {
  return fs
    .readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function highestNumber(folder: string): number {
  return Math.max(0, ...numbers(folder));
}
