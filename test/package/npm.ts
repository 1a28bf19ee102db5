import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const QUIET = ['--no-audit', '--no-fund', '--loglevel=error'];

export const ROOT = path.resolve(__dirname, '../..');

/** Runs npm in a folder, as a user would there. @returns what it printed. */
export async function npm(folder: string, ...args: string[]): Promise<string> {
  // npm tells the programs it runs, us among them, of the project they belong to.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle)_/.test(name)),
  );
  const { stdout } = await run('npm', [...args, ...QUIET], { cwd: folder, env });
  return stdout;
}

/**
 * Runs `npm install` or `npm ci` by what `npm ci` in this checkout has put into npm's cache, so that no test waits for the
 * registry. It is asked only where that cache was emptied since.
 */
export async function install(folder: string, ...args: readonly string[]): Promise<void> {
  await npm(folder, ...args, '--offline').catch((error: Error) => {
    if (!error.message.includes('ENOTCACHED')) throw error;
    return npm(folder, ...args, '--prefer-offline');
  });
}

/**
 * Has a folder's package lock to the versions of this checkout: of the lock's entries, npm installs those that the
 * package asks for. The override is the one that README.md asks for.
 */
export function lockLikeOurs(folder: string): void {
  const read = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, Record<string, unknown>>;
  const write = (name: string, content: object) =>
    fs.writeFileSync(path.join(folder, name), `${JSON.stringify(content, null, 2)}\n`);
  const { packages = {} } = read(path.join(ROOT, 'package-lock.json'));
  const nodemailer = read(path.join(ROOT, 'package.json')).dependencies?.nodemailer;
  const own = { ...read(path.join(folder, 'package.json')), overrides: { nodemailer } };
  const entries = Object.entries(packages).filter(
    ([name]) => name.startsWith('node_modules/') && !/preview-email|catamount/.test(name),
  );
  write('package.json', own);
  write('package-lock.json', {
    lockfileVersion: 3,
    requires: true,
    packages: { '': own, ...Object.fromEntries(entries) },
  });
}

/** npx as a script, for whoever starts scripts. */
export function npxScript(): string {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const npx = folders.map((folder) => path.join(folder, 'npx')).find((file) => fs.existsSync(file));
  if (npx === undefined) throw new Error('npx is not on the PATH');
  return fs.realpathSync(npx);
}

/** The tarball that would be published. @returns its path, and the files in it. */
export async function pack(into: string): Promise<{ readonly tarball: string; readonly files: readonly string[] }> {
  // Its scripts would build again, under the feet of whoever runs the build meanwhile.
  const printed = await npm(ROOT, 'pack', '--json', '--ignore-scripts', '--pack-destination', into);
  const parsed: unknown = JSON.parse(printed);
  const [packed] = Object.values(parsed as Record<string, { filename: string; files: { path: string }[] }>);
  if (!packed) throw new Error(`npm pack printed ${printed}`);
  return { tarball: path.join(into, packed.filename), files: packed.files.map((file) => file.path) };
}

/** Ten thousands of files take their time, which the end of the run has not: it would block, and look like a leak. */
export async function removeInstalled(folder: string): Promise<void> {
  await fs.promises.rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
