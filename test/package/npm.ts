import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { tempFolder } from '../support/temp-folder';

const run = promisify(execFile);
const QUIET = ['--no-audit', '--no-fund', '--loglevel=error'];

export const ROOT = path.resolve(__dirname, '../..');

/** An environment without the variables by which npm describes this project to the programs it runs. */
export function withoutNpm(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_(package|lifecycle)_/.test(name)));
}

/** Runs npm in a folder, like a user there. @returns what it printed. */
export async function npm(folder: string, ...args: string[]): Promise<string> {
  const { stdout } = await run('npm', [...args, ...QUIET], { cwd: folder, env: withoutNpm(process.env) });
  return stdout;
}

/**
 * Runs `npm install` or `npm ci` from npm's cache, which `npm ci` in this checkout has filled, so that tests do not wait for
 * the registry. It is used only if the cache has been emptied since.
 */
export async function install(folder: string, ...args: readonly string[]): Promise<void> {
  await npm(folder, ...args, '--offline').catch((error: Error) => {
    if (!error.message.includes('ENOTCACHED')) throw error;
    return npm(folder, ...args, '--prefer-offline');
  });
}

/**
 * Gives a folder a lock file with the versions of this checkout. npm installs only the entries that the package depends on,
 * and not those that are bundled in the tarball.
 */
export function lockLikeOurs(folder: string): void {
  const read = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, Record<string, unknown>>;
  const write = (name: string, content: object) =>
    fs.writeFileSync(path.join(folder, name), `${JSON.stringify(content, null, 2)}\n`);
  const { packages = {} } = read(path.join(ROOT, 'package-lock.json'));
  const own = read(path.join(folder, 'package.json'));
  const has = (name: string) => own.dependencies?.[name.replace('node_modules/', '')] !== undefined;
  const entries = Object.entries(packages as Record<string, Record<string, unknown>>)
    .filter(
      ([name, { link }]) => name.startsWith('node_modules/') && link !== true && !/catamount/.test(name) && !has(name),
    )
    .map(([name, { inBundle: _, ...entry }]) => [name, entry]);
  write('package-lock.json', {
    lockfileVersion: 3,
    requires: true,
    packages: { '': own, ...Object.fromEntries(entries) },
  });
}

/** The packages in the tarball: each would bring many others into an app, or a second Redis client. */
export const BUNDLED: readonly string[] = [
  '@ladjs/i18n',
  'bee-queue',
  'bee-queue/node_modules/redis',
  'denque',
  'email-templates',
  'email-templates/node_modules/@ladjs/consolidate',
  'get-paths',
  'object.getownpropertydescriptors',
  'p-finally',
  'pify',
  'preview-email',
  'promise-callbacks',
  'redis-commands',
  'redis-errors',
  'redis-parser',
].map((name) => `node_modules/${name}`);

export interface Packed {
  readonly tarball: string;
  /** The paths of the files in it. */
  readonly files: readonly string[];
  /** The copy of the checkout in which it was made, as packing has left it. */
  readonly stage: string;
  /** The package.json in the tarball. */
  readonly manifest: { readonly version: string; readonly bundledDependencies: readonly string[] };
}

/**
 * Makes the tarball that would be published. It is made in a copy, since the scripts of npm pack would rebuild dist and change
 * package.json while other tests read them.
 * @param root the checkout; default: that of this file.
 */
export async function pack(into: string, root = ROOT): Promise<Packed> {
  const stage = tempFolder('stage');
  const ofLib = fs.readdirSync(path.join(root, 'lib'), { recursive: true, encoding: 'utf8' });
  const guides = ofLib
    .filter((name) => path.extname(name) === '.md' && !name.includes('node_modules'))
    .map((name) => `lib/${name}`);
  const documents = [...guides, 'test/promises.md', 'test/benchmark/README.md'];
  for (const name of ['package.json', 'README.md', '.github', 'dist', ...documents, ...BUNDLED])
    fs.cpSync(path.join(root, name), path.join(stage, name), { recursive: true, dereference: true });
  const bundle = (...args: string[]) =>
    run(process.execPath, [path.join(root, '.config/bundle.mjs'), ...args], { cwd: stage });
  await bundle();
  const manifest = JSON.parse(fs.readFileSync(path.join(stage, 'package.json'), 'utf8')) as Packed['manifest'];
  const printed = await npm(stage, 'pack', '--json', '--ignore-scripts', '--pack-destination', into);
  await bundle('--undo');
  const parsed: unknown = JSON.parse(printed);
  const [packed] = Object.values(parsed as Record<string, { filename: string; files: { path: string }[] }>);
  if (!packed) throw new Error(`npm pack printed ${printed}`);
  const files = packed.files.map((file) => file.path);
  return { tarball: path.join(into, packed.filename), files, stage, manifest };
}

/** Removes installed packages asynchronously: tens of thousands of files would block the end of the run and look like a leak. */
export async function removeInstalled(folder: string): Promise<void> {
  await fs.promises.rm(folder, { recursive: true, force: true, maxRetries: 5 });
}
