import type { JsonValue } from '../record/json';

/** Deeper than any honest argument, shallower than the stack of JSON.stringify. */
const MAX_DEPTH = 100;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Lets pass only what comes back from JSON, and from Postgres, as it was.
 * @param jobName named in the error.
 * @throws TypeError that names the class, the argument (`argument 2 .user.tags[0]`) and what was found there.
 */
export function checkArguments(jobName: string, args: readonly unknown[]): asserts args is readonly JsonValue[] {
  args.forEach((value, index) => {
    const fault = findFault(value, '', []);
    if (fault) throw new TypeError(`${jobName}: argument ${index + 1}${fault} ${ADVICE}`);
  });
}

const ADVICE = '(arguments travel as JSON: pass ids, text, numbers, booleans, null, arrays and plain objects)';

/** @returns "path is what", or undefined when the value may travel. */
function findFault(value: unknown, path: string, ancestors: readonly object[]): string | undefined {
  const at = path === '' ? '' : ` ${path}`;
  switch (typeof value) {
    case 'boolean':
      return undefined;
    case 'string': {
      const fault = textFault(value);
      return fault && `${at} ${fault}`;
    }
    case 'number':
      return Number.isFinite(value) ? undefined : `${at} is ${value}`;
    case 'object':
      return value === null ? undefined : objectFault(value, path, ancestors);
    case 'undefined':
      return `${at} is undefined`;
    default:
      return `${at} is a ${typeof value}`;
  }
}

function objectFault(value: object, path: string, ancestors: readonly object[]): string | undefined {
  const at = path === '' ? '' : ` ${path}`;
  if (ancestors.includes(value)) return `${at} contains itself`;
  if (ancestors.length >= MAX_DEPTH) return `${at} is nested deeper than ${MAX_DEPTH} levels`;
  const within = [...ancestors, value];
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const fault = findFault(value[i], `${path}[${i}]`, within);
      if (fault) return fault;
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return `${at} is ${instanceName(prototype)}`;
  if (Object.getOwnPropertySymbols(value).length > 0) return `${at} has a symbol as a key`;
  for (const [key, part] of Object.entries(value)) {
    const keyFault = textFault(key);
    if (keyFault) return `${at} has a key that ${keyFault}`;
    const fault = findFault(part, `${path}.${key}`, within);
    if (fault) return fault;
  }
  return undefined;
}

function textFault(text: string): string | undefined {
  if (text.includes('\0')) return 'has a NUL character, which Postgres cannot store';
  if (LONE_SURROGATE.test(text)) return 'is text with half a surrogate pair';
  return undefined;
}

function instanceName(prototype: unknown): string {
  const maker = (prototype as { constructor?: { name?: string } }).constructor?.name || 'an unnamed class';
  return `an instance of ${maker}`;
}
