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

/** What a person can look up: an error code where there is one. */
export function codeOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.message === '' ? error.constructor.name : error.message.slice(0, 60);
}

/** A text has a `{{name}}` that it is given no value for. */
export class MissingValueError extends Error {
  override readonly name = 'MissingValueError';
}

/** What each part of a setup has to be; typed so that none is forgotten. */
export type SetupParts<T> = {
  readonly [K in keyof Required<T>]: readonly [what: string, is: (value: unknown) => boolean];
};

/**
 * @param where the setup comes from, named in errors; `kind` what it is, such as `a job setup`.
 * @throws UserError that names the part, and says what it should be.
 */
export function checkSetup<T extends object>(value: unknown, where: string, kind: string, parts: SetupParts<T>): T {
  if (!isObject(value)) throw new UserError(`${where} must default-export an object; it is ${described(value)}`);
  for (const [name, part] of Object.entries(value)) {
    if (part === undefined) continue;
    if (!Object.hasOwn(parts, name)) {
      throw new UserError(`${where}: there is no ${name} in ${kind}; it may have ${Object.keys(parts).join(', ')}`);
    }
    const [what, is] = parts[name as keyof T];
    if (!is(part)) throw new UserError(`${where}: ${name} is ${described(part)}; give ${what}`);
  }
  return value as T;
}

export function isArrayOf(is: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.every(is);
}

export function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function described(value: unknown): string {
  if (Array.isArray(value)) return value.every(isFunction) ? 'an array' : 'an array with something else in it';
  return value === null ? 'null' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
