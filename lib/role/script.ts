import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../core/config';
import { EXIT, UserError } from '../core/errors';
import { type ImportFile, importExports } from '../core/load-classes';
import type { AppDefinition } from './app-definition';
import { AppConnection } from './connection';

type Main = (...args: readonly string[]) => unknown;

/**
 * `catamount run FILE [ARGUMENT…]`: calls the function that a file default-exports, with models, `transaction()`,
 * `performLater` and `deliverLater` connected, waits for it, and exits.
 * @throws UserError without a file, for one that is no script or exports no function, and when Redis or Postgres does not
 * answer.
 */
export async function runScript(
  app: AppDefinition,
  [file, ...args]: readonly string[],
  readConfig: () => Promise<Config>,
): Promise<void> {
  if (!file) throw new UserError('run needs a file: catamount run FILE [ARGUMENT…]', EXIT.usage);
  if (file.startsWith('-'))
    throw new UserError(
      `run has no option ${file}; the script comes first: catamount run FILE [ARGUMENT…]`,
      EXIT.usage,
    );
  // Before anything is connected: a server that is away says nothing about a file that is not there.
  pathOf(file);
  const connection = await AppConnection.open(app, await readConfig(), { as: 'run', doing: `Cannot run ${file}` });
  try {
    process.argv = [process.execPath, path.resolve(file), ...args];
    await (await mainOf(file, app.importFile))(...args);
  } finally {
    await connection.disconnect();
  }
  // Exits even if the app's own code has left a handle open.
  process.exit();
}

/** @throws UserError when there is no such file, or a folder. */
function pathOf(file: string): string {
  const absolute = path.resolve(file);
  if (!fs.existsSync(absolute)) throw new UserError(`There is no file ${absolute}.`, EXIT.usage);
  if (fs.statSync(absolute).isDirectory())
    throw new UserError(`${absolute} is a folder: name a script in it.`, EXIT.usage);
  return absolute;
}

/** @throws UserError when there is no such file, when Node cannot load it, and when it exports no function. */
export async function mainOf(file: string, importFile?: ImportFile): Promise<Main> {
  const absolute = pathOf(file);
  const exported = await importExports(absolute, importFile).catch(async (thrown: unknown) => {
    throw (await import('../core/load-fault')).namedFileFault(absolute, thrown);
  });
  const main = (exported as { readonly default?: unknown } | null)?.default ?? exported;
  if (typeof main === 'function') return main as Main;
  throw new UserError(`${file} exports no function: write export default async (...args) => { … }`, EXIT.usage);
}
