import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { FOLDERS_ROLE } from '../../cluster/child-roles';
import { UserError } from '../../core/errors';
import type { AppFolders } from '../../role/command/folders';
import { findEntry, noEntry } from './app-entry';
import { askNode } from './app-process';

/** An app's answer: paths of its sources, relative to its folder, with `/`. */
export interface Asked {
  /** The file that calls `defineApp`, with its extension. */
  readonly manifest: string;
  readonly jobs: string;
  readonly models: string;
  readonly migrations: string | false;
  readonly mailers: string;
  readonly previews: string;
  readonly templates: string;
}

const EXTENSIONS = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'];

/**
 * Starts the app's entry file, whose `boot` answers where the app's folders are. An app in TypeScript is started from its
 * sources if tsx or Node can run them, otherwise from its build.
 * @throws UserError if it does not answer.
 */
export async function askApp(given: string): Promise<Asked> {
  const folder = fs.realpathSync(given);
  const source = findSource(folder, 'server') ?? findSource(folder, 'src/server');
  const built = findEntry(folder);
  const loader = source?.endsWith('ts') ? loaderIn(folder) : undefined;
  let failure: string | undefined;
  for (const args of [source && loader && [...loader, source], built && [built]]) {
    if (!args) continue;
    const { message, ending } = await askNode([...args, FOLDERS_ROLE], folder);
    if (message !== undefined) return inSources(message as AppFolders, folder, source);
    failure ??= `${path.relative(folder, path.resolve(folder, args.at(-1) ?? ''))} has ended with ${ending}`;
  }
  throw failure === undefined ? noEntry(folder) : new UserError(`The app cannot be asked for its folders: ${failure}`);
}

/** @returns the arguments by which Node runs TypeScript in this folder; undefined if it cannot. */
function loaderIn(folder: string): string[] | undefined {
  try {
    return ['--import', pathToFileURL(createRequire(path.join(folder, 'package.json')).resolve('tsx')).href];
  } catch {
    return '.ts' in require.extensions ? [] : undefined;
  }
}

/** @param source the source of the entry file, relative to the app's folder; undefined if there is none. */
function inSources(folders: AppFolders, folder: string, source = ''): Asked {
  const { output, home = path.dirname(source) } = compilerFolders(folder);
  const relative = (file: string) => {
    const fromOutput = path.relative(path.join(folder, output), file);
    const isBuilt = fromOutput !== '..' && !fromOutput.startsWith(`..${path.sep}`);
    return isBuilt ? path.posix.join(home, fromOutput) : path.relative(folder, file) || '.';
  };
  const { file = path.join(folders.root, 'app.js'), migrationsDir } = folders;
  const manifest = relative(file);
  return {
    manifest: findSource(folder, manifest.replace(/\.[cm]?[jt]s$/, '')) ?? manifest,
    jobs: relative(folders.jobsDir),
    models: relative(folders.modelsDir),
    migrations: migrationsDir !== false && relative(migrationsDir),
    mailers: relative(folders.mailersDir),
    previews: relative(folders.previewsDir),
    templates: relative(folders.templatesDir),
  };
}

/** @returns where the compiler writes to, and which folder it reads, if tsconfig.json says so; relative to the app's. */
export function compilerFolders(folder: string): { readonly output: string; readonly home?: string } {
  const file = path.join(folder, 'tsconfig.json');
  const tsconfig = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  const option = (name: string) => new RegExp(`"${name}":\\s*"([^"]+)"`).exec(tsconfig)?.[1];
  const home = option('rootDir');
  return { output: option('outDir') ?? 'dist', ...(home !== undefined && { home }) };
}

/** @returns the file with one of the extensions of modules, relative to the folder. */
function findSource(folder: string, name: string): string | undefined {
  return EXTENSIONS.map((extension) => `${name}${extension}`).find((file) => fs.existsSync(path.join(folder, file)));
}
