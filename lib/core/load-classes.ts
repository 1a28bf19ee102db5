import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { toError } from '../support/to-error';
import { EXIT, UserError } from './errors';
import { loadedTwice, loadFault, withRemedy } from './load-fault';
import { nativeImport } from './native-import.cjs';

/** Loads a module by its absolute path. @returns its namespace, as `import()` does, or what it exports, as `require()` does. */
export type ImportFile = (file: string) => Promise<unknown>;

export interface LoadOptions {
  /** Default `importFile`. */
  readonly importFile?: ImportFile | undefined;
  /** Receives the fault of each wrong file; the others are still loaded. Default: the first fault is thrown. */
  readonly onFault?: ((fault: UserError) => void) | undefined;
}

/** A folder whose files hold classes: jobs, mailers, previews, models. */
export interface ClassFolder<C> extends LoadOptions {
  readonly isOne: (value: unknown) => value is C;
  /**
   * Receives the classes of one file.
   * @param classes each exported class once. @param name the file's name, relative to the folder.
   * @throws Error that says what is wrong with the file.
   */
  readonly take: (classes: readonly C[], name: string, exported: unknown) => void;
  /** true: subfolders are loaded, too. Default false, for folders whose subfolders hold templates and shared code. */
  readonly recursive?: boolean;
  /** true: index files are loaded, too. Default false, for folders where each file holds one class. */
  readonly indexes?: boolean;
}

const MODULE = /\.[cm]?[jt]s$/;
const NO_CLASSES = /\.(?:d|test|spec)\.[cm]?[jt]s$/;
const INDEX = /^index\.[cm]?[jt]s$/;

/**
 * Loads the files of a folder in the order of their names, without tests and type declarations. A missing folder counts
 * as empty.
 * @throws UserError that names the file and the reason.
 */
export async function loadClasses<C>(folder: string, options: ClassFolder<C>): Promise<void> {
  const { isOne, take, recursive = false, indexes = false, importFile: load = importFile, onFault } = options;
  if (!fs.existsSync(folder)) return;
  const names = fs.readdirSync(folder, { recursive, encoding: 'utf8' }).filter((name) => {
    if (!MODULE.test(name) || NO_CLASSES.test(name)) return false;
    return indexes || !INDEX.test(path.basename(name));
  });
  for (const name of names.sort()) {
    const file = path.join(folder, name);
    try {
      const exported = await importExports(file, load).catch((thrown: unknown) => {
        throw loadFault(file, thrown);
      });
      const classes = [...new Set(listExports(exported).filter(isOne))];
      // A hook of `require`, such as tsx's, keeps its own copies of files that a test runner has required before.
      const required = listExports(require.cache?.[file]?.exports).filter(isOne);
      if (required.some((one) => !classes.includes(one))) throw loadedTwice();
      take(classes, name, exported);
    } catch (thrown) {
      const error = toError(thrown);
      const fault = Object.assign(new UserError(`${file}: ${error.message}`, EXIT.config), { cause: error });
      if (!onFault) throw fault;
      onFault(fault);
    }
  }
}

/** A file's name without the extension of a module. */
export function withoutExtension(file: string): string {
  return file.replace(MODULE, '');
}

/**
 * Loads a module of the app, an ES module or a CommonJS one. Load everything of an app by this function, or by the app's own
 * `import()`. With some compilers, a file that was both required and imported would be loaded twice, and its classes would not
 * be the same.
 */
export async function importFile(file: string): Promise<unknown> {
  try {
    return await nativeImport(pathToFileURL(file).href);
  } catch (thrown) {
    if (hasRequireOnly(thrown)) return require(file);
    throw withRemedy(thrown);
  }
}

/** Loads a module of the app. @returns what it exports, of either kind of module. */
export async function importExports(file: string, load: ImportFile = importFile): Promise<unknown> {
  return exportedBy(await load(file));
}

/** true where modules are loaded by `require` alone: in Jest's sandbox, and by compilers that extend only `require`. */
function hasRequireOnly(thrown: unknown): boolean {
  // In a sandbox one of Node's errors is not an instance of the sandbox's Error.
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? String(thrown.code) : '';
  return (
    code.startsWith('ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING') ||
    (code === 'ERR_UNKNOWN_FILE_EXTENSION' && Object.hasOwn(require.extensions ?? {}, '.ts'))
  );
}

/**
 * Returns a CommonJS module's exports for its namespace, which has them as its default; any other module as it is. Node finds
 * only some names of a CommonJS module, so they are taken from the exports themselves.
 */
function exportedBy(module: unknown): unknown {
  if (typeof module !== 'object' || module === null || !('default' in module)) return module;
  const { default: inner } = module;
  if (typeof inner !== 'object' || inner === null) return module;
  if ('__esModule' in inner) return inner;
  const others = Object.keys(module).filter((name) => name !== 'default' && name !== 'module.exports');
  return others.every((name) => name in inner) ? inner : module;
}

/** @returns the values that a module exports, or the module itself when it is a class. */
export function listExports(exported: unknown): readonly unknown[] {
  return typeof exported === 'object' && exported !== null ? Object.values(exported) : [exported];
}
