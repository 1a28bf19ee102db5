import * as ours from '../definition/errors';
import { type ErrorClass, listRules } from '../definition/retry-policy';

/** An error on its way between two threads, which copies its message, its stack and its cause. */
export interface CarriedError {
  readonly error: Error;
  /** Names of its class and those above it, without Error. */
  readonly classes: readonly string[];
  readonly name: string;
  /** Its own properties, as far as they can be copied. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const STANDARD = [TypeError, RangeError, SyntaxError, ReferenceError, URIError, EvalError, AggregateError];

export function carryError(error: Error): CarriedError {
  const classes: string[] = [];
  for (let at = Object.getPrototypeOf(error); at && at !== Error.prototype; at = Object.getPrototypeOf(at))
    classes.push(String(at.constructor?.name));
  const fields = Object.fromEntries(Object.entries(error).filter(([, value]) => isCopied(value)));
  const bare = () => Object.assign(new Error(error.message), { stack: error.stack });
  return { error: isCopied(error) ? error : bare(), classes, name: error.name, fields };
}

/**
 * Makes the error again. It is an instance of the nearest of its classes that Catamount or JavaScript has, or a rule of the job
 * class names; otherwise of Error.
 */
export function receiveError({ error, classes, name, fields }: CarriedError, jobClass: object | undefined): Error {
  const rules = jobClass ? [...listRules(jobClass)] : [];
  const known = [...rules.flatMap((rule) => rule.classes), ...Object.values(ours), ...STANDARD] as ErrorClass[];
  const found = classes.flatMap((one) => known.find((each) => each.name === one) ?? [])[0];
  Object.setPrototypeOf(error, (found ?? Error).prototype as object);
  Object.assign(error, fields);
  if (error.name !== name) Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  return error;
}

function isCopied(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}
