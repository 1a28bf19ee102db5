import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { EXIT, UserError } from '../core/errors';

/** What fits into `sun_path` beside its final zero. */
const LONGEST = process.platform === 'linux' ? 107 : 103;
/** How long a listener may take to accept: the kernel does it, whatever the process does. */
const PROBE_MS = 2000;

/**
 * The shortest way to name a socket file from the current folder: the system allows about a hundred bytes, and what is
 * longer is cut off, not refused, in some versions.
 * @throws UserError when even the shortest is too long.
 */
export function socketAddress(file: string): string {
  const [shortest = file] = [file, path.relative(process.cwd(), file)].sort((a, b) => bytes(a) - bytes(b));
  if (bytes(shortest) <= LONGEST) return shortest;
  throw new UserError(
    `The path of the control socket is too long: ${file} has ${bytes(file)} bytes, and a unix socket's may have ` +
      `${LONGEST}. Set CONTROL_SOCKET to a shorter one, or work in the folder that holds it.`,
    EXIT.config,
  );
}

/** Whether somebody listens on the socket. */
export function isListening(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(socketAddress(file));
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    // A backlog that is full refuses with EAGAIN, and a foreign socket with EACCES: somebody is there.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => settle(code === 'EAGAIN' || code === 'EACCES'));
    socket.once('connect', () => settle(true));
    socket.setTimeout(PROBE_MS, () => settle(true));
  });
}

/**
 * Makes room for a new socket: the folder is there, and a file that a dead tree left is not.
 * @throws UserError when a live tree has it, or it is no socket at all.
 */
export async function clearSocketPath(file: string): Promise<void> {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const found = fs.lstatSync(file, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket())
    throw new UserError(`${file} is no socket. Remove it, or set CONTROL_SOCKET to another path.`, EXIT.config);
  if (await isListening(file)) throw takenError(file);
  // Only if nobody has put another there meanwhile.
  const now = fs.lstatSync(file, { throwIfNoEntry: false });
  if (now?.ino === found.ino && now.ctimeMs === found.ctimeMs) fs.rmSync(file, { force: true });
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
