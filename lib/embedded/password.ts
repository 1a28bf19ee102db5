import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { User } from './data-folder';

const NAME = 'password';

/** @returns a password that needs no quoting in a URL, an SQL statement or a configuration file. */
export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/**
 * Reads the password of the server in this folder, which other users may not enter.
 * @returns undefined if it has none yet.
 */
export function readPassword(folder: string): string | undefined {
  try {
    return fs.readFileSync(path.join(folder, NAME), 'utf8').trim() || undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export function writePassword(folder: string, password: string, user: User | undefined): void {
  writePrivately(path.join(folder, NAME), `${password}\n`, user);
}

/**
 * Writes a file that only its owner can read. It appears complete or not at all, since the process may be killed.
 */
export function writePrivately(file: string, text: string, user: User | undefined): void {
  const draft = `${file}.${process.pid}`;
  fs.rmSync(draft, { force: true });
  fs.writeFileSync(draft, text, { mode: 0o600 });
  if (user) fs.chownSync(draft, user.uid, user.gid);
  fs.renameSync(draft, file);
}
