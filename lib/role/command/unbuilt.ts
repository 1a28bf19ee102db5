import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../../core/errors';
import { withoutExtension } from '../../core/load-classes';

const TYPESCRIPT = /(?<!\.d)\.[cm]?ts$/;

/**
 * Finds the files in TypeScript that the app's build lacks, so that nothing would run them. Example: a file of `migrations/` in
 * an app that runs from `dist/migrations/`.
 * @returns their paths, relative to the current folder.
 */
export function unbuiltSources(folder: string, cwd = process.cwd()): string[] {
  const [output, ...inner] = path.relative(cwd, folder).split(path.sep);
  const sources = path.join(cwd, ...inner);
  if (inner.length === 0 || output === '..' || !fs.existsSync(sources)) return [];
  const built = new Set((fs.existsSync(folder) ? fs.readdirSync(folder) : []).map(withoutExtension));
  return fs
    .readdirSync(sources)
    .filter((name) => TYPESCRIPT.test(name) && !built.has(withoutExtension(name)))
    .map((name) => path.join(...inner, name));
}

/**
 * The file to run for a script. In an app that runs from its build, this is the built script. The source would import the
 * sources of the app's classes, which Node cannot load, or would load a second time.
 * @param file an absolute path. @param entry the entry file of this process.
 * @throws UserError when the build lacks the script, or has an older one.
 */
export function builtScript(file: string, entry: string, cwd = process.cwd()): string {
  const [output = '', ...inner] = path.relative(cwd, entry).split(path.sep);
  const source = path.join(...inner).replace(/js$/, 'ts');
  const isBuilt = /js$/.test(entry) && ['', 'src'].some((root) => fs.existsSync(path.join(cwd, root, source)));
  const script = path.relative(cwd, file);
  if (!isBuilt || inner.length === 0 || script.startsWith('..') || !TYPESCRIPT.test(file)) return file;
  const built = [script, script.replace(/^src\//, '')]
    .map((name) => path.join(cwd, output, name.replace(/ts$/, 'js')))
    .find((name) => fs.existsSync(name));
  if (built === undefined) {
    const remedy = 'have "include" of tsconfig.json name its folder, and build the app (npm run build)';
    throw new UserError(`${file} is not built yet: ${remedy}.`, EXIT.config);
  }
  if (fs.statSync(built).mtimeMs < fs.statSync(file).mtimeMs)
    throw new UserError(`${file} has changed since the app was built: build it (npm run build).`, EXIT.config);
  return built;
}
