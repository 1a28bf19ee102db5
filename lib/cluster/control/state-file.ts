import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { EXIT, UserError } from '../../core/errors';
import type { Deadline } from '../../support/deadline';

/** The data by which a command finds a running tree. Whoever can read it controls the tree. */
export interface TreeState {
  readonly pid: number;
  readonly startedAt: string;
  readonly controlSocket: string;
  readonly token: string;
  readonly cwd: string;
  readonly version: string;
  /** true: the tree runs without Redis. */
  readonly redisOff?: boolean;
}

/** Writes the file atomically. From the first moment only its owner can read it. @returns its text. */
export function writeState(file: string, state: TreeState): string {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  const text = `${JSON.stringify(state, null, 2)}\n`;
  fs.rmSync(draft, { force: true });
  try {
    // `wx` never writes into a file or link that somebody else has put there.
    fs.writeFileSync(draft, text, { mode: 0o600, flag: 'wx' });
    fs.renameSync(draft, file);
    return text;
  } catch (error) {
    fs.rmSync(draft, { force: true });
    throw error;
  }
}

/**
 * @returns undefined when there is no file.
 * @throws UserError when it cannot be read or is not a state file.
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
  throw new UserError(`${file} is not a state file of Catamount. Is --state or STATE_FILE right?`);
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

/** Maximum length of a socket path, bytes: `sun_path` without its final zero. */
const MAX_PATH_LENGTH = process.platform === 'linux' ? 107 : 103;
/** Time limit for a listener to accept, ms. The kernel accepts even if the process is blocked. */
const PROBE_MS = 2000;

/**
 * The shorter one of the absolute and the relative path: the system allows about a hundred bytes, and some versions of
 * it truncate a longer path silently.
 * @throws UserError when both are too long.
 */
export function socketAddress(file: string): string {
  const [shortest = file] = [file, path.relative(process.cwd(), file)].sort((a, b) => bytes(a) - bytes(b));
  if (bytes(shortest) <= MAX_PATH_LENGTH) return shortest;
  throw new UserError(
    `The path of the control socket is too long: ${file} has ${bytes(file)} bytes, and a unix socket's may have ` +
      `${MAX_PATH_LENGTH}. Set CONTROL_SOCKET to a shorter one, or work in the folder that holds it.`,
    EXIT.config,
  );
}

export function isListening(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketAddress(file));
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    // A full backlog yields EAGAIN, another user's socket EACCES: both have a listener.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => settle(code === 'EAGAIN' || code === 'EACCES'));
    socket.once('connect', () => settle(true));
    socket.setTimeout(PROBE_MS, () => settle(true));
  });
}

/**
 * Prepares the path for a new socket: creates the folder, and removes the file of a dead tree.
 * @throws UserError when a live tree listens there, or when the file is not a socket.
 */
export async function clearSocketPath(file: string): Promise<void> {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const found = fs.lstatSync(file, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket())
    throw new UserError(`${file} is not a socket. Remove it, or set CONTROL_SOCKET to another path.`, EXIT.config);
  if (await isListening(file)) throw takenError(file);
  // Only one of several trees that start at once may remove the dead file: the next would remove the first one's new socket.
  const lock = `${file}.lock`;
  while (!takeLock(lock)) await wait(LOCK_POLL_MS);
  try {
    const now = fs.lstatSync(file, { throwIfNoEntry: false });
    if (now?.ino === found.ino && now.ctimeMs === found.ctimeMs) fs.rmSync(file, { force: true });
  } finally {
    fs.rmSync(lock, { recursive: true, force: true });
  }
}

/** A lock is held for a few calls to the file system only: one of this age, ms, belongs to a process that died meanwhile. */
const LOCK_STALE_MS = 10_000;
const LOCK_POLL_MS = 10;

/** Takes the lock if it is free or stale. A directory is made by one process only. */
function takeLock(lock: string): boolean {
  try {
    fs.mkdirSync(lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const held = fs.statSync(lock, { throwIfNoEntry: false });
    if (held && Date.now() - held.mtimeMs > LOCK_STALE_MS) fs.rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

export function takenError(file: string): UserError {
  return new UserError(
    `Another Catamount runs here: it listens on ${file}. Stop it (catamount stop), or set CONTROL_SOCKET and ` +
      'STATE_FILE to other paths.',
    EXIT.unavailable,
  );
}

function bytes(text: string): number {
  return Buffer.byteLength(text);
}

/** A primary's process title. The system cuts it to the length of the command line that it replaces. */
const TITLE = /^catamount(: p|:? ?\0*$)/;

/** State of a pid that once belonged to a primary. */
export type PrimaryProcess = 'gone' | 'alive' | 'another program';

/** Checks a pid of the state file: the system may have reused it, in a new container even at once. */
export function lookAt(pid: number): PrimaryProcess {
  if (!exists(pid)) return 'gone';
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // A zombie has ended; only its parent has not collected the exit code yet.
    if (/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))) return 'gone';
    return TITLE.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ? 'alive' : 'another program';
  } catch {
    // Either there is no /proc, or the process ended meanwhile.
    return exists(pid) ? 'alive' : 'gone';
  }
}

const GONE_POLL_MS = 25;

/** Waits until the process has ended. @returns false when it still runs at the deadline. */
export async function goneWithin(pid: number, deadline: Deadline): Promise<boolean> {
  while (lookAt(pid) !== 'gone') {
    if (deadline.expired) return false;
    await wait(GONE_POLL_MS);
  }
  return true;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
