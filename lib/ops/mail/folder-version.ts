import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';

const CODE = /\.[cm]?[jt]s$/;

export interface FolderVersion {
  /** Another one whenever a file has changed, been added or removed. */
  readonly all: string;
  /** The same for JavaScript and TypeScript only: what a process does not read anew by itself. */
  readonly code: string;
}

/** Tells whether files below some folders have changed. A folder that is missing holds none. */
export async function folderVersion(folders: readonly string[]): Promise<FolderVersion> {
  const lines = (await Promise.all(folders.map(linesOf))).flat();
  return { all: digest(lines), code: digest(lines.filter(({ name }) => CODE.test(name))) };
}

interface FileLine {
  readonly name: string;
  readonly line: string;
}

async function linesOf(folder: string): Promise<FileLine[]> {
  const names = await fs.readdir(folder, { recursive: true }).catch(whenGone<string[]>([]));
  const lines = names.sort().map(async (name) => {
    // It may go while we look: a build replaces whole folders.
    const stat = await fs.stat(path.join(folder, name)).catch(whenGone(undefined));
    return stat?.isFile() ? [{ name, line: `${name}\0${stat.mtimeMs}\0${stat.size}\n` }] : [];
  });
  return (await Promise.all(lines)).flat();
}

function digest(lines: readonly FileLine[]): string {
  const hash = createHash('sha256');
  for (const { line } of lines) hash.update(line);
  return hash.digest('base64url').slice(0, 22);
}

function whenGone<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return instead;
    throw error;
  };
}
