import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../core/errors';
import { toError } from '../../support/to-error';
import type { GeneratedFile } from './generators';

/**
 * Writes all files, or none of them.
 * @throws UserError that names the files that exist already, or the one that cannot be written.
 */
export function writeFiles(folder: string, files: readonly GeneratedFile[]): void {
  checkFiles(folder, files);
  const written: string[] = [];
  for (const { file, content } of files) {
    const target = path.join(folder, file);
    try {
      fs.mkdirSync(path.dirname(target), { recursive: true });
      fs.writeFileSync(target, content, { flag: 'wx' });
      written.push(target);
    } catch (thrown) {
      for (const each of written) fs.rmSync(each, { force: true });
      for (const each of [target, ...written]) removeEmpty(path.dirname(each), folder);
      throw new UserError(`${target} cannot be written, and nothing was written: ${toError(thrown).message}.`);
    }
  }
}

/** @throws UserError that names the files that exist already. */
export function checkFiles(folder: string, files: readonly GeneratedFile[]): void {
  const existing = files.map((file) => findFile(folder, file)).filter((file) => file !== undefined);
  if (existing.length === 0) return;
  throw new UserError(
    `${existing.join(', ')} already ${existing.length === 1 ? 'exists' : 'exist'}, and nothing was written. ` +
      'Move away what exists, or give another name.',
  );
}

/** @returns the path of the file, or of the migration with that name, whatever its time; undefined if there is none. */
function findFile(folder: string, { file, migrationName }: GeneratedFile): string | undefined {
  if (migrationName === undefined) return fs.existsSync(path.join(folder, file)) ? file : undefined;
  const home = path.posix.dirname(file);
  // A name has letters, digits and _ only.
  const isNamed = (entry: string) => new RegExp(`^\\d+_${migrationName}\\.(?:js|ts)$`).test(entry);
  const name = fs.existsSync(path.join(folder, home)) && fs.readdirSync(path.join(folder, home)).find(isNamed);
  return name ? path.posix.join(home, name) : undefined;
}

function removeEmpty(folder: string, until: string): void {
  if (folder === until || !isFolder(folder) || fs.readdirSync(folder).length > 0) return;
  fs.rmdirSync(folder);
  removeEmpty(path.dirname(folder), until);
}

function isFolder(name: string): boolean {
  return fs.existsSync(name) && fs.statSync(name).isDirectory();
}
