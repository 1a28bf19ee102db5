import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { User } from './data-folder';

const NAME = 'password';

/** URL-safe, so it stands in a URL, a statement and a line of settings as it is. */
export function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/** Of the server whose folder this is; undefined before it has one. Whoever may not enter the folder cannot read it. */
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

/** For the owner's eyes only, and complete or not there: a start may be killed while it writes. */
export function writePrivately(file: string, text: string, user: User | undefined): void {
  const draft = `${file}.${process.pid}`;
  fs.rmSync(draft, { force: true });
  fs.writeFileSync(draft, text, { mode: 0o600 });
  if (user) fs.chownSync(draft, user.uid, user.gid);
  fs.renameSync(draft, file);
}
