import fs from 'node:fs';
import path from 'node:path';
import { ownRoot } from '../../core/config';

interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const read = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8')) as Manifest;

export function ownManifest(): Manifest {
  return read(path.join(ownRoot(), 'package.json'));
}

/** @returns where the app gets Catamount from: the registry, or the tarball or folder from which this one came. */
export function catamountSource(folder: string): string {
  const root = ownRoot();
  const modules = path.dirname(root);
  if (path.basename(modules) !== 'node_modules') return `file:${root}`;
  const installer = path.dirname(modules);
  const manifest = path.join(installer, 'package.json');
  const spec = fs.existsSync(manifest) ? read(manifest).dependencies?.catamount : undefined;
  if (spec?.startsWith('file:') !== true) return `^${ownManifest().version}`;
  return `file:${path.relative(folder, path.resolve(installer, spec.slice('file:'.length)))}`;
}
