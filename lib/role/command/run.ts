import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { EXIT, UserError } from '../../core/errors';
import { type ImportFile, importExports } from '../../core/load-classes';
import type { AppCommand } from '../app/app-command';
import { AppConnection } from '../connect/connection';
import { builtScript } from './unbuilt';

/** How long a script's own timers and connections are waited for, ms. On a busy machine what has ended closes slowly, too. */
const LEFT_BEHIND_MS = 5000;

type Main = (...args: readonly string[]) => unknown;

/**
 * `catamount run FILE [ARGUMENT…]`: calls the function that a file default-exports, with models, `transaction()`,
 * `performLater` and `deliverLater` connected, waits for it and for what it has not awaited, and exits.
 * @throws UserError without a file, for one that is no script or exports no function, and when Redis or Postgres does not
 * answer.
 */
export const runScript: AppCommand = async (app, [file, ...args], readConfig) => {
  if (!file) throw new UserError('run needs a file: catamount run FILE [ARGUMENT…]', EXIT.usage);
  if (file.startsWith('-'))
    throw new UserError(
      `run has no option ${file}; the script comes first: catamount run FILE [ARGUMENT…]`,
      EXIT.usage,
    );
  // Before anything is connected: a server that is away says nothing about a file that is not there.
  const script = builtScript(requireFile(file), process.argv[1] ?? '');
  const connection = await AppConnection.open(app, await readConfig(), { as: 'run', doing: `Cannot run ${file}` });
  try {
    process.argv = [process.execPath, script, ...args];
    await (await loadMain(script, app.importFile))(...args);
  } finally {
    await connection.settled();
    await connection.disconnect();
  }
  process.exit((await ended(file)) ? process.exitCode : EXIT.failed);
};

/**
 * Waits a moment for timers, requests and connections that the script has left behind. Whatever these now fail in ends
 * the process with 1, as Node does for any error that nobody handles.
 * @returns false when something is still open after that time.
 */
async function ended(file: string): Promise<boolean> {
  process.once('uncaughtExceptionMonitor', () => {
    process.stderr.write(
      `${file} had ended, and its connections were closed, before this: await all that it begins.\n`,
    );
  });
  const isIdle = await Promise.race([
    new Promise<boolean>((resolve) => process.once('beforeExit', () => resolve(true))),
    wait(LEFT_BEHIND_MS, false, { ref: false }),
  ]);
  if (!isIdle)
    process.stderr.write(
      `${file} has ended with timers or connections left open: what they had yet to do is not done.\n`,
    );
  return isIdle;
}

/** @throws UserError when there is no such file, or a folder. */
function requireFile(file: string): string {
  const absolute = path.resolve(file);
  if (!fs.existsSync(absolute)) throw new UserError(`There is no file ${absolute}.`, EXIT.usage);
  if (fs.statSync(absolute).isDirectory())
    throw new UserError(`${absolute} is a folder: name a script in it.`, EXIT.usage);
  return absolute;
}

/** @param file an absolute path. @throws UserError when Node cannot load it, and when it exports no function. */
export async function loadMain(file: string, importFile?: ImportFile): Promise<Main> {
  const exported = await importExports(file, importFile).catch(async (thrown: unknown) => {
    throw (await import('../../core/load-fault')).namedFileFault(file, thrown);
  });
  const main = (exported as { readonly default?: unknown } | null)?.default ?? exported;
  if (typeof main === 'function') return main as Main;
  const name = path.relative(process.cwd(), file);
  throw new UserError(`${name} exports no function: write export default async (...args) => { … }`, EXIT.usage);
}
