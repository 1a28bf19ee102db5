import { fileURLToPath, pathToFileURL } from 'node:url';
import { toError } from '../support/to-error';
import { EXIT, UserError } from './errors';

/** A place in a source file; lines count from 1. */
interface Place {
  readonly file: string;
  readonly line: string;
}

/**
 * Explains why a file of the app cannot be loaded: the mistake, its line, and the remedy. This module is loaded only when
 * a file is wrong.
 * @param file the absolute path of the file, which the message leaves out; empty: it is not known.
 * @param thrown the error of loading it.
 * @returns an error with exit code 78 whose message continues `<file>: `.
 */
export function loadFault(file: string, thrown: unknown): UserError {
  const error = toError(thrown);
  if (error instanceof UserError) return error;
  const message = missing(error) ?? (error.name === 'SyntaxError' ? unreadable(file, error) : throwing(file, error));
  return Object.assign(new UserError(message, EXIT.config), { cause: error });
}

/** The error for a file whose classes exist twice: an instance of one would not be an instance of the other. */
export function loadedTwice(): UserError {
  return new UserError(
    'it was required before it was imported, and its classes exist twice: have the test runner import all files; mocha does with "node-option": ["import=tsx", "no-experimental-require-module"] in .mocharc.json',
    EXIT.config,
  );
}

/** Adds the remedy to Node's message about a file in TypeScript. @returns any other error as it is. */
export function withRemedy(thrown: unknown): unknown {
  if (!(thrown instanceof TypeError && 'code' in thrown && thrown.code === 'ERR_UNKNOWN_FILE_EXTENSION')) return thrown;
  if (!/^Unknown file extension "\.[cm]?ts"/.test(thrown.message)) return thrown;
  return new UserError(
    `${thrown.message}. Run it with NODE_OPTIONS=--import=tsx, or by Node 22.18 or later; in Vitest give defineApp import: (file) => import(file)`,
  );
}

/** Node's codes for a file that holds none of the code it runs, such as text and JSON; the last is that of Node 20. */
const NO_SCRIPT = ['ERR_UNKNOWN_FILE_EXTENSION', 'ERR_IMPORT_ATTRIBUTE_MISSING', 'ERR_IMPORT_ASSERTION_TYPE_MISSING'];

/**
 * @returns the error to throw for a file that the user has named. If Node cannot load the file, it is one sentence. An error
 * that the file itself has thrown stays unchanged, with its stack.
 */
export function namedFileFault(file: string, thrown: unknown): unknown {
  const error = toError(thrown);
  const code = 'code' in error ? String(error.code) : '';
  if (NO_SCRIPT.includes(code) && [file, pathToFileURL(file).href].some((name) => error.message.includes(name)))
    return new UserError(`${file} is not a script: name a file of JavaScript or TypeScript.`, EXIT.usage);
  const ofNode = missing(error) !== undefined || error.name === 'SyntaxError' || NO_SCRIPT.includes(code);
  if (!ofNode && !/is not defined in ES module scope/.test(error.message)) return thrown;
  return new UserError(`${file}: ${loadFault(file, thrown).message}`, EXIT.config);
}

/** @returns undefined unless something that the file imports does not exist. */
function missing(error: Error): string | undefined {
  const code = 'code' in error ? error.code : undefined;
  if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND') return undefined;
  const [, name = ''] = /^Cannot find (?:module|package) '([^']+)'/.exec(error.message) ?? [];
  if (name === '') return undefined;
  const [, importer] = /(?: imported from |Require stack:\n- )(\S+)/.exec(error.message) ?? [];
  if (/^[./]/.test(name)) return `${name} is imported by ${importer ?? 'it'} and does not exist: fix the path`;
  const [scope = '', inScope = ''] = name.split('/');
  const wanted = name.startsWith('@') ? `${scope}/${inScope}` : scope;
  return `the package ${wanted} is imported by ${importer ?? 'it'} and is not installed: run npm install ${wanted}`;
}

function unreadable(file: string, error: Error): string {
  const { message } = error;
  if (/does not provide an export named/.test(message)) {
    return `${message.replace(/^The/, 'the')}${at(file, findPlace(file, error))}: fix that import, or export it there`;
  }
  if (/^(?:Cannot use import statement|Unexpected token 'export')/.test(message)) {
    return 'it uses import or export, and Node takes it for CommonJS: name it .mjs, or set "type": "module" in package.json';
  }
  const place = findPlace(file, error);
  // Node gives no place for a syntax error in an ES module.
  const remedy = place || file === '' ? 'fix it' : `fix it where node --check ${file} points`;
  return `it is not valid JavaScript, ${message}${at(file, place)}: ${remedy}`;
}

function throwing(file: string, error: Error): string {
  const { message } = error;
  const place = at(file, findPlace(file, error));
  const [, word] =
    /^(require|module|exports|__dirname|__filename) is not defined in ES module scope/.exec(message) ?? [];
  if (word) {
    return `it is an ES module, which has no ${word}${place}: use import and export, or name it .cjs`;
  }
  return `${message}${place}: fix it`;
}

function at(file: string, place: Place | undefined): string {
  if (!place) return '';
  return place.file === file ? ` in line ${place.line}` : ` in line ${place.line} of ${place.file}`;
}

/** @returns the place in the file that the stack names, otherwise the first outside of Node and packages. */
function findPlace(file: string, { stack = '' }: Error): Place | undefined {
  const places = [...stack.matchAll(/(?:^|[\s(])((?:file:\/\/)?\/[^\s():]+):(\d+)/gm)].map(
    ([, name = '', line = '']) => ({
      file: name.startsWith('file:') ? fileURLToPath(name) : name,
      line,
    }),
  );
  return (
    places.find((place) => place.file === file) ??
    places.find((place) => !/\/node_modules\/|\/load-classes\.[jt]s$|\/native-import\.cjs$/.test(place.file))
  );
}
