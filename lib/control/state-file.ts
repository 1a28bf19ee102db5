import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';

/** How a command finds a running tree. Whoever can read it controls the tree. */
export interface TreeState {
  /** The primary's. */
  readonly pid: number;
  readonly startedAt: string;
  readonly controlSocket: string;
  readonly token: string;
  readonly cwd: string;
  readonly version: string;
}

/** Writes the whole file or none of it, readable by its owner only from the first moment. */
export function writeState(file: string, state: TreeState): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  fs.rmSync(draft, { force: true });
  try {
    // wx: never into a file or link that somebody else has put there.
    fs.writeFileSync(draft, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    fs.renameSync(draft, file);
  } catch (error) {
    fs.rmSync(draft, { force: true });
    throw error;
  }
}

/**
 * @returns undefined when there is none.
 * @throws UserError when it cannot be read or is no state file.
 */
export function readState(file: string): TreeState | undefined {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new UserError(
      `The state file ${file} cannot be read (${code}). Is it the right one, and this the user who started the tree?`,
    );
  }
  const state = parse(text);
  if (isState(state)) return state;
  throw new UserError(`${file} is no state file of Catamount's. Is --state or STATE_FILE right?`);
}

/** Removes the file if it is still that tree's: a later one may have written its own. */
export function removeState(file: string, token: string): void {
  try {
    if (readState(file)?.token === token) fs.rmSync(file, { force: true });
  } catch (error) {
    // Not ours any more, then.
    if (!(error instanceof UserError)) throw error;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isState(value: unknown): value is TreeState {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, ...texts } = value as Partial<Record<keyof TreeState, unknown>>;
  const { startedAt, controlSocket, token, cwd, version } = texts;
  const allTexts = [startedAt, controlSocket, token, cwd, version].every((text) => typeof text === 'string');
  return allTexts && typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0;
}
