import fs from 'node:fs';
import { toError, UserError } from '../core/errors';
import { Deadline } from '../support/deadline';
import { poll } from './poll';
import { type Command, launch, type ServerProcess } from './server-process';

const START_MS = 20_000;
/** Bytes of the log that are kept from former runs, and shown when a start fails. */
const LOG_KEPT = 1_000_000;
const LOG_SHOWN = 1500;

export interface StartOptions {
  readonly name: string;
  readonly command: Command;
  readonly logFile: string;
  /** The variable to set instead. */
  readonly variable: string;
  readonly onPid: (pid: number) => void;
  readonly ready: () => boolean | Promise<boolean>;
}

/** Starts a server and waits until it is ready. @throws UserError with the end of its log when it is not. */
export async function startServer(options: StartOptions): Promise<ServerProcess> {
  const { name, command, logFile, variable, onPid, ready } = options;
  if (fs.existsSync(logFile) && fs.statSync(logFile).size > LOG_KEPT) fs.truncateSync(logFile);
  const instead = `Or set ${variable} to a ${name} of your own.`;
  const server = await launch(command, logFile, onPid).catch((thrown: unknown) => {
    throw new UserError(`Cannot run the embedded ${name}: ${toError(thrown).message}. ${instead}`);
  });
  const settled = await poll(async () => server.gone() || (await ready()), Deadline.after(START_MS));
  if (settled && !server.gone()) return server;
  if (!settled) process.kill(server.pid, 'SIGKILL');
  const what = settled ? server.ending() : `was not ready after ${START_MS / 1000} s`;
  const log = fs.readFileSync(logFile, 'utf8').slice(-LOG_SHOWN).trim();
  throw new StartError(`The embedded ${name} ${what}. Its log, ${logFile}, ends with:\n${log}\n${instead}`, log);
}

export class StartError extends UserError {
  constructor(
    message: string,
    readonly log: string,
  ) {
    super(message);
  }
}
