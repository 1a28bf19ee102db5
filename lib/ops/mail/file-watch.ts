import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';

/** Notices that files below some folders have changed, been added or removed. */
export class FileWatch {
  constructor(private readonly folders: readonly string[]) {}

  /** Another one whenever something has changed. Rejects while a folder is being replaced. */
  async version(): Promise<string> {
    const digest = createHash('sha256');
    for (const folder of this.folders) for (const line of await linesOf(folder)) digest.update(line);
    return digest.digest('base64url');
  }
}

async function linesOf(folder: string): Promise<string[]> {
  const names = await fs.readdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const lines = names.map(async (name) => {
    const { mtimeMs, size } = await fs.stat(path.join(folder, name));
    return `${name}\0${mtimeMs}\0${size}\n`;
  });
  return (await Promise.all(lines)).sort();
}
