import { inspect } from 'node:util';

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

/** Anything can be thrown, even what has no text. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(typeof thrown === 'object' ? inspect(thrown, { depth: 1 }) : String(thrown));
}

/** A text has a `{{name}}` that it is given no value for. */
export class MissingValueError extends Error {
  override readonly name = 'MissingValueError';
}
