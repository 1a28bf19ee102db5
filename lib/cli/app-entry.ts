import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../core/errors';

/** Where an app's entry file is looked for, in this order, from the current folder. */
export const ENTRIES: readonly string[] = ['dist/server.js', 'server.js'];

/**
 * The app's own entry file decides the rest: `boot` reads the command from the arguments.
 * @param args default: as they were given.
 */
export function runApp(args: readonly string[] = process.argv.slice(2)): void {
  const entry = ENTRIES.map((file) => path.resolve(file)).find((file) => fs.existsSync(file));
  if (entry === undefined) {
    throw new UserError(
      `There is no ${ENTRIES.join(' or ')} in ${process.cwd()}. Build the app, or go to its folder.`,
      EXIT.usage,
    );
  }
  // Children are started from argv[1]: it must be the app's entry, not this file.
  process.argv = [process.argv[0] ?? process.execPath, entry, ...args];
  require(entry);
}
