import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { User } from './data-folder';

const NAME = 'password';

/** Returns a URL-safe password, which needs no quoting in a URL, a statement or a line of settings. */
export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/**
 * Reads the password of the server in this folder; undefined before it has one. The folder is closed to other users.
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
 * Writes a file that only its owner can read. It appears complete or not at all, since a start may be killed meanwhile.
 */
export function writePrivately(file: string, text: string, user: User | undefined): void {
  const draft = `${file}.${process.pid}`;
  fs.rmSync(draft, { force: true });
  fs.writeFileSync(draft, text, { mode: 0o600 });
  if (user) fs.chownSync(draft, user.uid, user.gid);
  fs.renameSync(draft, file);
}
