import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../../core/errors';
import { type Asked, askApp } from './ask-app';

/** The language of an app, and where its parts are. Paths are relative to its folder, with `/`. */
export interface AppLayout extends Asked {
  readonly folder: string;
  readonly typescript: boolean;
  /** true if `type` of package.json makes ES modules of `.js` files. */
  readonly esm: boolean;
  /** The extension that imports are written with; empty for CommonJS. */
  readonly extension: '' | '.js' | '.ts';
  /** The file that calls `defineApp`, without its extension. */
  readonly manifest: string;
}

/**
 * Reads the app's layout from package.json and tsconfig.json, and asks the app itself where its folders are.
 * @throws UserError if the folder contains no app, or the app cannot answer.
 */
export async function readLayout(folder: string, ask: (folder: string) => Promise<Asked> = askApp): Promise<AppLayout> {
  const packageJson = readPackage(folder);
  const answers = await ask(folder);
  const typescript = /\.[cm]?ts$/.test(answers.manifest);
  const esm = packageJson.type === 'module';
  return {
    ...answers,
    folder,
    typescript,
    esm,
    extension: importExtension(folder, typescript, esm),
    manifest: answers.manifest.replace(/\.[cm]?[jt]s$/, ''),
  };
}

interface PackageJson {
  readonly type?: string;
  readonly scripts?: { readonly build?: string };
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

function importExtension(folder: string, typescript: boolean, esm: boolean): AppLayout['extension'] {
  if (!typescript) return esm ? '.js' : '';
  const file = path.join(folder, 'tsconfig.json');
  const tsconfig = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  // Node or a bundler runs the sources directly.
  if (/"(?:allowImportingTsExtensions|rewriteRelativeImportExtensions)":\s*true/.test(tsconfig)) return '.ts';
  return esm ? '.js' : '';
}
