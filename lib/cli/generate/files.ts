import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../core/errors';
import { toError } from '../../support/async';
import type { GeneratedFile } from './generators';

/** The outcome for one file, as it is printed. */
export type Step = readonly ['create' | 'identical' | 'remove' | 'absent', file: string];

/**
 * Writes those files that do not exist yet, or none of them.
 * @param dryRun true writes nothing.
 * @throws UserError that names the files that exist with other content, or the one that cannot be written.
 */
export function writeFiles(folder: string, files: readonly GeneratedFile[], dryRun: boolean): Step[] {
  const found = files.map((given) => ({ ...given, there: findFile(folder, given) }));
  const taken = found.filter(({ there, content }) => there !== undefined && renderContent(folder, there) !== content);
  if (taken.length > 0) {
    const names = taken.map(({ there }) => there).join(', ');
    throw new UserError(
      `${names} already ${taken.length === 1 ? 'exists' : 'exist'}, and nothing was written. ` +
        'Move away what exists, or give another name.',
    );
  }
  const missing = found.filter(({ there }) => there === undefined);
  if (!dryRun) writeAll(folder, missing);
  return found.map(({ there, file }) => (there === undefined ? ['create', file] : ['identical', there]));
}

/** Writes all of them, or none. @throws UserError that names the file that cannot be written. */
function writeAll(folder: string, files: readonly GeneratedFile[]): void {
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

/**
 * Removes files, and the folders that this leaves empty. If a file has been changed, it removes none of them.
 * @param force true removes changed files, too.
 * @throws UserError that names the files that have been changed.
 */
export function removeFiles(
  folder: string,
  files: readonly GeneratedFile[],
  { dryRun, force }: { readonly dryRun: boolean; readonly force: boolean },
): Step[] {
  const found = files.map((given) => ({ ...given, there: findFile(folder, given) }));
  const changed = found.filter(({ there, content }) => there !== undefined && renderContent(folder, there) !== content);
  if (changed.length > 0 && !force) {
    const names = changed.map(({ there }) => there).join(', ');
    throw new UserError(
      `${names} ${changed.length === 1 ? 'is' : 'are'} not what generate writes for these words, and nothing was removed. ` +
        'Give the words that generate was given, or --force to remove changed files as well.',
    );
  }
  return found.map(({ there, file }) => {
    if (there === undefined) return ['absent', file];
    if (!dryRun) {
      fs.rmSync(path.join(folder, there));
      removeEmpty(path.dirname(path.join(folder, there)), folder);
    }
    return ['remove', there];
  });
}

/** @returns the path of the file, or of the migration with that name, whatever its time; undefined if there is none. */
function findFile(folder: string, { file, untimed }: GeneratedFile): string | undefined {
  const home = path.posix.dirname(file);
  const absolute = path.join(folder, home);
  if (!fs.existsSync(absolute)) return undefined;
  if (untimed === undefined) return fs.existsSync(path.join(folder, file)) ? file : undefined;
  const named = new RegExp(`^\\d+_${untimed}\\.(?:js|ts)$`);
  const [name, another] = fs.readdirSync(absolute).filter((entry) => named.test(entry));
  if (another !== undefined) {
    throw new UserError(`${home} has two migrations of that name, ${name} and ${another}. Rename one of them.`);
  }
  return name === undefined ? undefined : path.posix.join(home, name);
}

function renderContent(folder: string, file: string): string {
  return fs.readFileSync(path.join(folder, file), 'utf8');
}

function removeEmpty(folder: string, until: string): void {
  if (folder === until || !isFolder(folder) || fs.readdirSync(folder).length > 0) return;
  fs.rmdirSync(folder);
  removeEmpty(path.dirname(folder), until);
}

function isFolder(name: string): boolean {
  return fs.existsSync(name) && fs.statSync(name).isDirectory();
}
