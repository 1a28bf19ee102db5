import http from 'node:http';
import { EXIT, UserError } from '../../core/errors';
import { toError } from '../../support/to-error';
import { commandPath, type TreeCommand } from './commands';
import { socketAddress } from './state-file';

/** Time limit for commands that are answered at once, ms. */
const PROMPT_MS = 10_000;

/** Nothing accepts connections on the socket: the tree is gone, or its socket file is. */
export class NobodyListensError extends UserError {
  override readonly name = 'NobodyListensError';
}

export interface ControlAddress {
  readonly socket: string;
  readonly token: string;
}

/**
 * Sends a command to a running tree.
 * @param promptMs time limit for the answer, ms; slow commands have none.
 * @returns the answer's JSON.
 * @throws NobodyListensError, or UserError with the tree's reason for rejecting the command.
 */
export async function ask(
  address: ControlAddress,
  command: TreeCommand,
  args: readonly number[] = [],
  promptMs = PROMPT_MS,
): Promise<Record<string, unknown>> {
  const { status, text } = await exchange(address, command, args, promptMs);
  const body = parse(text);
  if (status >= 200 && status < 300 && body) return body;
  const reason = typeof body?.error === 'string' ? body.error : `it answered ${status} without a reason.`;
  throw new UserError(reason);
}

function exchange(
  { socket, token }: ControlAddress,
  command: TreeCommand,
  args: readonly number[],
  promptMs: number,
): Promise<{ status: number; text: string }> {
  const path = [commandPath(command), ...args].join('/');
  const options = { socketPath: socketAddress(socket), path, method: command.method, agent: false };
  return new Promise((resolve, reject) => {
    const request = http.request({ ...options, headers: { authorization: `Bearer ${token}` } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('error', (error) => reject(explain(error, socket)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    if (!command.slow) {
      request.setTimeout(promptMs, () =>
        request.destroy(new UserError(`${socket} took the command, but has not answered in ${promptMs / 1000} s.`)),
      );
    }
    request.on('error', (error) => reject(explain(error, socket)));
    request.end();
  });
}

function explain(thrown: unknown, socket: string): Error {
  const error: NodeJS.ErrnoException = toError(thrown);
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ECONNREFUSED':
      return new NobodyListensError(`No Catamount listens on ${socket}.`, EXIT.unavailable);
    case 'EACCES':
      return new UserError(`This user may not use ${socket}. Act as the user who started the tree.`);
    case 'ECONNRESET':
    case 'EPIPE':
      return new UserError('The tree ended, or cut the connection, before it answered.');
    default:
      return error instanceof UserError ? error : new UserError(`${socket}: ${error.message}`);
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
