import fs from 'node:fs';
import path from 'node:path';
import { newApp } from '../../lib/cli/generate/new-app';
import { tempFolder } from '../support/temp-folder';

/** Writes the files of `catamount new shop`. @returns the folder. */
export function writeNewApp({ typescript, esm }: { readonly typescript: boolean; readonly esm: boolean }): string {
  const folder = tempFolder('new-app');
  for (const { file, content } of newApp({ name: 'shop', folder, typescript, esm, manager: 'npm', now: new Date() })) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), content);
  }
  return folder;
}
