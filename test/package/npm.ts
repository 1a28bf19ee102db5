import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const QUIET = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];

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
