import fs from 'node:fs';
import path from 'node:path';

/** As the packages name it; `process.platform` and `process.arch`, but for Windows. */
export const PLATFORM = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;

/**
 * The folder of an installed package, or undefined. npm usually puts it at the root of the project, but may leave it
 * beside the package that asked for it; the project is the one this file is in, or the one being run.
 */
export function packageFolder(name: string): string | undefined {
  const starts = [__dirname, process.cwd()];
  const candidates = starts.flatMap(upwards).flatMap((folder) => {
    const modules = path.join(folder, 'node_modules');
    return [path.join(modules, name), path.join(modules, 'catamount-local-servers', 'node_modules', name)];
  });
  return candidates.find((folder) => fs.existsSync(path.join(folder, 'package.json')));
}

/** How whoever runs this gets it: in our own checkout it is a dependency already, an adopter adds it. */
export function howToInstall(name: string): string {
  return __dirname.includes(`${path.sep}node_modules${path.sep}`)
    ? `npm install --save-dev ${name}`
    : 'npm install with optional and development dependencies';
}

function upwards(folder: string): string[] {
  const parent = path.dirname(folder);
  return parent === folder ? [folder] : [folder, ...upwards(parent)];
}
