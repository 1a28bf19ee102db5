import fs from 'node:fs';
import { findCommand, parseArguments, type TreeCommand } from '../cluster/control/commands';
import type { TreeStats } from '../cluster/status';
import { EXIT, UserError } from '../core/errors';
import { camelCase } from '../support/snake-case';
import { toError } from '../support/to-error';

export interface ProfileFlags {
  readonly seconds?: string | undefined;
  readonly out?: string | undefined;
  readonly json?: boolean | undefined;
}

type Send = (command: TreeCommand, args: readonly number[]) => Promise<Record<string, unknown>>;

/**
 * Has a profile taken of the process that the words name, such as `worker 1`, and prints the path of its file.
 * @throws UserError, a usage error, when they name none.
 */
export async function printProfile(
  command: TreeCommand,
  words: readonly string[],
  { seconds, out, json }: ProfileFlags,
  send: Send,
): Promise<void> {
  if (out !== undefined && fs.existsSync(out))
    throw new UserError(`--out: ${out} exists. Name a new file.`, EXIT.usage);
  const pid = await pidOf(command, words.join(' '), send);
  const answer = await send(command, parseArguments(command, [pid, ...(seconds === undefined ? [] : [seconds])]));
  const { file } = answer;
  try {
    // As its original, only this user may read it.
    if (out !== undefined) fs.copyFileSync(String(file), out, fs.constants.COPYFILE_EXCL);
  } catch (error) {
    throw new UserError(`--out: ${toError(error).message}. The profile is ${file}.`);
  }
  process.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : `${out ?? file}\n`);
}

async function pidOf(command: TreeCommand, named: string, send: Send): Promise<string> {
  if (/^\d+$/.test(named)) return named;
  const { pid, workerStatus, jobProcessor } = camelCase(await send(findCommand('stats'), [])) as TreeStats;
  const pids = new Map([
    ['primary', pid],
    ...(jobProcessor.pid === null ? [] : [['processor', jobProcessor.pid] as const]),
    ...workerStatus.map((worker) => [`worker ${worker.index}`, worker.pid] as const),
  ]);
  const found = pids.get(named);
  if (found !== undefined) return String(found);
  const names = [...pids.keys()].join(', ');
  throw new UserError(`${command.name} needs a process, not "${named}": a pid, or ${names}.`, EXIT.usage);
}
