import fs from 'node:fs';
import path from 'node:path';
import { tempFolder } from './temp-folder';

/** @returns the environment of a process to which its Node.js seems to have this version. */
export function asNode(version: string): { readonly NODE_OPTIONS: string } {
  const file = path.join(tempFolder('node'), 'version.cjs');
  const versions = `{ value: { ...process.versions, node: ${JSON.stringify(version)} } }`;
  fs.writeFileSync(file, `Object.defineProperty(process, 'versions', ${versions});`);
  return { NODE_OPTIONS: `--require ${file}` };
}
