import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';

export interface User {
  readonly uid: number;
  readonly gid: number;
}

const isRoot = () => process.getuid?.() === 0;

/**
 * Finds the owner of the checkout that root starts servers in. Their files must belong to that user, who could not start the
 * servers later otherwise.
 * @returns the owner to act for; undefined if we are not root, or if root owns the checkout.
 */
export function ownerToActFor(stateDir: string): User | undefined {
  if (!isRoot()) return undefined;
  let folder = path.dirname(stateDir);
  while (!fs.existsSync(folder)) folder = path.dirname(folder);
  const { uid, gid } = fs.statSync(folder);
  return uid === 0 ? undefined : { uid, gid };
}

/** Creates a folder unless it exists; gives it to `user` in both cases. @param mode of a new folder, default 0o755. */
export function makeFolder(folder: string, user: User | undefined, mode = 0o755): void {
  fs.mkdirSync(folder, { recursive: true, mode });
  if (user) fs.chownSync(folder, user.uid, user.gid);
}

/**
 * Creates a folder that only the server's user may enter, unless it exists.
 * @throws UserError if it belongs to another user.
 */
export function makeDataFolder(folder: string, user: User | undefined): void {
  if (!fs.existsSync(folder)) makeFolder(folder, user, 0o700);
  const { uid } = fs.statSync(folder);
  const expected = user?.uid ?? process.getuid?.() ?? uid;
  if (uid === expected) return;
  throw new UserError(
    `${folder} belongs to user id ${uid}, but its server would run as user id ${expected}. Start as the user who ` +
      `started it before, or remove ${path.dirname(folder)} to begin with empty data.`,
  );
}

const ADVICE = 'Start as the user who owns the folder, or in a folder to which this user may write.';

/** Turns a permission error of the file system into a UserError with advice; other errors pass through. */
export async function withAdvice<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, path: file } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error;
    throw new UserError(`This user (id ${process.getuid?.() ?? '?'}) may not use ${file} (${code}). ${ADVICE}`);
  }
}
