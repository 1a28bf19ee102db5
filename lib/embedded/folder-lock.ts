import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';
import { isAlive, startedAt } from './server-process';

/**
 * The exclusive right to run servers in a folder: a file that names the process which has it. The right is free again once that
 * process has ended. Postgres itself refuses data that another server uses, so the lock only serves to say why.
 */
export class FolderLock {
  private constructor(private readonly file: string) {}

  /** @throws UserError if another Catamount runs in the state folder. */
  static async take(stateDir: string): Promise<FolderLock> {
    const file = path.join(stateDir, 'owner.json');
    const draft = `${file}.${process.pid}`;
    const text = JSON.stringify({ pid: process.pid, startedAt: await startedAt(process.pid) });
    for (;;) {
      fs.writeFileSync(draft, text);
      try {
        // As a link, the file appears with its content or not at all.
        fs.linkSync(draft, file);
        return new FolderLock(file);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      } finally {
        fs.rmSync(draft, { force: true });
      }
      const owner = await livingOwner(file);
      if (owner !== undefined) {
        throw new UserError(
          `Another Catamount, pid ${owner}, runs in this folder (${stateDir}). ` +
            'Stop it first, or start this one in a checkout of its own.',
        );
      }
      fs.rmSync(file, { force: true });
    }
  }

  release(): void {
    fs.rmSync(this.file, { force: true });
  }
}

/** @returns undefined also for a file that a crash of the machine left empty, and for one that has just been released. */
async function livingOwner(file: string): Promise<number | undefined> {
  try {
    const owner = JSON.parse(fs.readFileSync(file, 'utf8')) as { readonly pid: number; readonly startedAt?: string };
    return isAlive(owner.pid) && (await startedAt(owner.pid)) === owner.startedAt ? owner.pid : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
