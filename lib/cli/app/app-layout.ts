import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../../core/errors';
import { type Asked, askApp } from './ask-app';

/** The language of an app, and where its parts are. Paths are relative to its folder, with `/`. */
export interface AppLayout extends Asked {
  /** The folder of package.json. */
  readonly folder: string;
  readonly typescript: boolean;
  /** true if `type` of package.json makes ES modules of `.js` files. */
  readonly esm: boolean;
  /** The extension that imports are written with; empty for CommonJS. */
  readonly extension: '' | '.js' | '.ts';
  readonly runner: TestRunner;
  /** The file that calls `defineApp`, without its extension. */
  readonly manifest: string;
  readonly tests: string;
}

export type TestRunner = 'node' | 'vitest' | 'jest' | 'mocha';

/**
 * Reads the app's layout from package.json and tsconfig.json, and asks the app itself where its folders are.
 * @throws UserError if the folder contains no app, or the app cannot answer.
 */
export async function readLayout(folder: string, ask: (folder: string) => Promise<Asked> = askApp): Promise<AppLayout> {
  const packageJson = readPackage(folder);
  const answers = await ask(folder);
  const typescript = /\.[cm]?ts$/.test(answers.manifest);
  const esm = packageJson.type === 'module';
  const manifest = answers.manifest.replace(EXTENSION, '');
  return {
    ...answers,
    folder,
    typescript,
    esm,
    extension: importExtension(folder, typescript, esm),
    runner: findRunner(packageJson.scripts?.test ?? ''),
    manifest,
    routes: findRoutes(folder, manifest, answers.routes),
    tests: 'test',
  };
}

const EXTENSION = /\.[cm]?[jt]s$/;

interface PackageJson {
  readonly type?: string;
  readonly scripts?: { readonly test?: string; readonly build?: string };
}

/** @throws UserError if there is no valid package.json in the folder. */
export function readPackage(folder: string): PackageJson {
  const file = path.join(folder, 'package.json');
  if (!fs.existsSync(file)) {
    throw new UserError(`There is no package.json in ${folder}. Go to the folder of your app.`, EXIT.usage);
  }
  try {
    const parsed: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) throw new Error('it is not an object');
    return parsed;
  } catch (error) {
    throw new UserError(`${file} is not a valid package.json: ${error instanceof Error ? error.message : error}.`);
  }
}

/** The folder of the module that the manifest's `routes`, whose source this is, imports. */
function findRoutes(folder: string, manifest: string, source: string): string {
  const imported = /\b(?:import|require)\(\s*(['"`])([^'"`]+)\1/.exec(source)?.[2] ?? './routes';
  const target = path.posix.join(path.posix.dirname(manifest), imported).replace(EXTENSION, '');
  if (path.posix.basename(target) === 'index') return path.posix.dirname(target);
  const isFolder = fs.existsSync(path.join(folder, target)) && fs.statSync(path.join(folder, target)).isDirectory();
  return isFolder || path.posix.basename(target) === 'routes' ? target : path.posix.dirname(target);
}

function importExtension(folder: string, typescript: boolean, esm: boolean): AppLayout['extension'] {
  if (!typescript) return esm ? '.js' : '';
  const file = path.join(folder, 'tsconfig.json');
  const tsconfig = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  // Node or a bundler runs the sources directly.
  if (/"(?:allowImportingTsExtensions|rewriteRelativeImportExtensions)":\s*true/.test(tsconfig)) return '.ts';
  return esm ? '.js' : '';
}

function findRunner(script: string): TestRunner {
  return (['vitest', 'jest', 'mocha'] as const).find((name) => new RegExp(`\\b${name}\\b`).test(script)) ?? 'node';
}
