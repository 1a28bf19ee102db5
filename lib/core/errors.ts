import { isObject } from '../support/type-guards';

/** Exit codes of the process tree, from sysexits(3) where that has one. */
export const EXIT = { ok: 0, failed: 1, usage: 64, unavailable: 69, config: 78 } as const;

/** An error for the person at the terminal; its message is printed without a stack. */
export class UserError extends Error {
  override readonly name: string = 'UserError';

  constructor(
    message: string,
    /** The process's exit code when nobody catches the error: 78 for wrong settings, 69 for a missing service, otherwise 1. */
    readonly exitCode: number = EXIT.failed,
  ) {
    super(message);
  }
}

/** Releases of Node.js that this runs on, as `engines` of package.json has them: the oldest, and the first untested. */
export const NODE_RELEASES = { oldest: [20, 19], untested: 27 } as const;

/** Ends the process with a sentence about a Node.js that is too old, before any code needs a newer one. */
export function requireNode(): void {
  const [major, minor] = nodeRelease();
  const [oldest, oldestMinor] = NODE_RELEASES.oldest;
  if (major > oldest || (major === oldest && minor >= oldestMinor)) return;
  const needed = NODE_RELEASES.oldest.join('.');
  process.stderr.write(`This is Node.js ${process.versions.node}; Catamount needs ${needed} or later: install it.\n`);
  process.exit(EXIT.config);
}

/** @returns a warning about a Node.js that is newer than the tested ones; otherwise nothing. */
export function untestedNode(): string[] {
  if (nodeRelease()[0] < NODE_RELEASES.untested) return [];
  const newest = NODE_RELEASES.untested - 1;
  return [
    `This is Node.js ${process.versions.node}, and Catamount was tested up to ${newest}: use that, or a newer Catamount.`,
  ];
}

function nodeRelease(): [major: number, minor: number] {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return [major, minor];
}

/** A caller uses something that is not set up yet, such as a job enqueued before `boot`. */
export class NotConnectedError extends Error {
  override readonly name = 'NotConnectedError';
}

/** @returns a text that a person can look up: the error's code, that of a reply of Redis, otherwise its message, shortened. */
export function codeOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  const [, reply] = /^(?:ERR .*: -)?([A-Z]{4,})\b/.exec(error.message) ?? [];
  if (reply !== undefined) return reply;
  return error.message === '' ? error.constructor.name : error.message.slice(0, 60);
}

/** A text is given no value for one of its `{{name}}` placeholders. */
export class MissingValueError extends Error {
  override readonly name = 'MissingValueError';
}

/** The requirements on each part of a setup; the type makes sure that none is forgotten. */
export type SetupParts<T> = {
  readonly [K in keyof Required<T>]: readonly [what: string, is: (value: unknown) => boolean];
};

/**
 * Checks the parts of a setup.
 * @param where the file of the setup, for errors. @param kind its kind, such as `a job setup`.
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

function described(value: unknown): string {
  if (Array.isArray(value)) return value.every(isFunction) ? 'an array' : 'an array with something else in it';
  return value === null ? 'null' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
