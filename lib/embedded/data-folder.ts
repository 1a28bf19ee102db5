import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';

export interface User {
  readonly uid: number;
  readonly gid: number;
}

const isRoot = () => process.getuid?.() === 0;

/**
 * As root in somebody's checkout, what the servers write shall be theirs: they could not start the next time otherwise.
 * @returns the owner to act for, or undefined to act as oneself.
 */
export function ownerToActFor(stateDir: string): User | undefined {
  if (!isRoot()) return undefined;
  let folder = path.dirname(stateDir);
  while (!fs.existsSync(folder)) folder = path.dirname(folder);
  const { uid, gid } = fs.statSync(folder);
  return uid === 0 ? undefined : { uid, gid };
}

/** Makes a folder unless it is there; gives it to `user` even when it is. */
export function makeFolder(folder: string, user: User | undefined, mode = 0o755): void {
  fs.mkdirSync(folder, { recursive: true, mode });
  if (user) fs.chownSync(folder, user.uid, user.gid);
}

/**
 * Makes a folder that only the server's user may enter, unless it is there.
 * @throws UserError when it belongs to somebody else.
 */
export function makeDataFolder(folder: string, user: User | undefined): void {
  if (!fs.existsSync(folder)) makeFolder(folder, user, 0o700);
  const { uid } = fs.statSync(folder);
  const expected = user?.uid ?? process.getuid?.() ?? uid;
  if (uid === expected) return;
  throw new UserError(
    `${folder} belongs to user id ${uid}, but its server would run as user id ${expected}. Start as the user who ` +
      `started before, or remove ${path.dirname(folder)} to begin with empty data.`,
  );
}

const ADVICE = 'Start as the user who owns the folder, or where this user may write.';

/** Turns a refusal of the file system into advice; anything else passes through. */
export async function withAdvice<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, path: file } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error;
    throw new UserError(`This user (id ${process.getuid?.() ?? '?'}) may not use ${file} (${code}). ${ADVICE}`);
  }
}
