import { inspect, types } from 'node:util';

/** Exit codes of the process tree, after sysexits(3) where it has one. */
export const EXIT = { ok: 0, failed: 1, usage: 64, unavailable: 69, config: 78 } as const;

/** An error meant for the person at the terminal: printed as its message, without a stack. */
export class UserError extends Error {
  override readonly name: string = 'UserError';

  constructor(
    message: string,
    readonly exitCode: number = EXIT.failed,
  ) {
    super(message);
  }
}

/** Something a caller did not set up before use (a job enqueued before `boot`, say). */
export class NotConnectedError extends Error {
  override readonly name = 'NotConnectedError';
}

/** Anything can be thrown, even what has no text, or cannot be read at all: the latter is told by an error of our own. */
export function toError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return readable(thrown);
    return new Error(typeof thrown === 'object' ? inspect(thrown, { depth: 1 }) : String(thrown));
  } catch {
    return new Error(`what was thrown cannot be read: ${kindOf(thrown)}`);
  }
}

/** @throws what one of the properties does that everybody reads. */
function readable(error: Error): Error {
  for (const part of [error.name, error.message, error.stack]) `${String(part)}`;
  if (error.cause instanceof Error) readable(error.cause);
  return error;
}

function kindOf(thrown: unknown): string {
  return types.isProxy(thrown) ? 'a Proxy' : types.isNativeError(thrown) ? 'an error that throws' : typeof thrown;
}

/** What a person can look up: an error code where there is one. */
export function codeOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.message === '' ? error.constructor.name : error.message.slice(0, 60);
}

/** A text has a `{{name}}` that it is given no value for. */
export class MissingValueError extends Error {
  override readonly name = 'MissingValueError';
}
