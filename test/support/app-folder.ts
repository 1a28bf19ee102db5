import fs from 'node:fs';
import path from 'node:path';
import { tempFolder } from './temp-folder';

const ROOT = path.resolve(__dirname, '../..');

/** Writes files below a folder. A file that is null is not written. */
export function writeFiles(folder: string, files: Readonly<Record<string, string | null>>): void {
  for (const [name, text] of Object.entries(files)) {
    if (text === null) continue;
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
}

/** Makes a folder resolve this checkout as `catamount`, and further packages of it. */
export function linkPackages(folder: string, packages: readonly string[] = []): void {
  for (const name of ['catamount', ...packages]) {
    const link = path.join(folder, 'node_modules', name);
    fs.mkdirSync(path.dirname(link), { recursive: true });
    fs.symlinkSync(name === 'catamount' ? ROOT : path.join(ROOT, 'node_modules', name), link);
  }
}

/** Writes an app that resolves this checkout as `catamount`, and further packages of it. @returns its folder. */
export function appFolder(files: Readonly<Record<string, string | null>>, packages: readonly string[] = []): string {
  const folder = tempFolder('app');
  linkPackages(folder, packages);
  writeFiles(folder, files);
  return folder;
}
