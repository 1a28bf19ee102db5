import fs from 'node:fs';
import path from 'node:path';
import { BOOTED } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import { importFile } from '../../core/load-classes';

/**
 * Places to look for an app's entry file, in this order, relative to the current folder. A TypeScript entry counts only
 * if Node or a loaded compiler can run it.
 */
export const ENTRIES: readonly string[] = ['dist/server.js', 'dist/server.mjs', 'server.js', 'server.mjs'];
const TYPESCRIPT_ENTRIES: readonly string[] = ['server.ts', 'server.mts'];

/** @returns the absolute path of the app's entry file in a folder, by default the current one, or undefined. */
export function findEntry(folder = '.'): string | undefined {
  const places = '.ts' in require.extensions ? [...ENTRIES, ...TYPESCRIPT_ENTRIES] : ENTRIES;
  return places.map((file) => path.resolve(folder, file)).find((file) => fs.existsSync(file));
}

/** @returns the error for a folder that has no entry file, with the exit code for wrong usage. */
export function noEntry(folder: string): UserError {
  const wanted = `${ENTRIES.slice(0, -1).join(', ')} or ${ENTRIES.at(-1)}`;
  return new UserError(`There is no ${wanted} in ${folder}. ${remedyIn(folder)}.`, EXIT.usage);
}

function remedyIn(folder: string): string {
  const has = (file: string) => fs.existsSync(path.join(folder, file));
  // A new app in TypeScript has not been built when the first command is typed.
  if (has('server.ts') || has('src/server.ts')) return 'Build the app (npm run build)';
  if (has('package.json')) return 'Build the app, or go to its folder';
  return 'Go to the folder of your app, or create one: catamount new shop';
}

/**
 * Runs the app's own entry file in this process, where `boot` reads the command from the arguments.
 * @param args default: the arguments of this process.
 * @throws UserError with the exit code for wrong usage if there is no entry file.
 */
export async function runApp(args: readonly string[] = process.argv.slice(2)): Promise<void> {
  const entry = findEntry();
  if (entry === undefined) throw noEntry(process.cwd());
  // Children are forked from argv[1], so it must be the app's entry file rather than this file.
  process.argv = [process.argv[0] ?? process.execPath, entry, ...args];
  process.once('exit', (code) => {
    if (code !== EXIT.ok || Reflect.get(globalThis, BOOTED) === true) return;
    const remedy = "call boot(app) in it: require('catamount').boot(require('./app'))";
    process.stderr.write(`${entry}: it has ended without calling boot, so nothing was started: ${remedy}.\n`);
    process.exitCode = EXIT.config;
  });
  await importFile(entry).catch(async (thrown: unknown) => {
    throw (await import('../../core/load-fault')).namedFileFault(entry, thrown);
  });
}
