import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../core/errors';

/** Places to look for an app's entry file, in this order, relative to the current folder. */
export const ENTRIES: readonly string[] = ['dist/server.js', 'server.js'];

/**
 * Runs the app's own entry file in this process; `boot` reads the command from the arguments.
 * @param args default: the arguments of this process.
 * @throws UserError with the exit code for wrong usage when there is no entry file.
 */
export function runApp(args: readonly string[] = process.argv.slice(2)): void {
  const entry = ENTRIES.map((file) => path.resolve(file)).find((file) => fs.existsSync(file));
  if (entry === undefined) {
    throw new UserError(
      `There is no ${ENTRIES.join(' or ')} in ${process.cwd()}. Build the app, or go to its folder.`,
      EXIT.usage,
    );
  }
  // Children are forked from argv[1], so it must be the app's entry and not this file.
  process.argv = [process.argv[0] ?? process.execPath, entry, ...args];
  require(entry);
}
