import * as ours from '../definition/errors';
import { type ErrorClass, listRules } from '../definition/retry-policy';

/** An error on its way between two threads. */
export interface CarriedError {
  /** Names of its class and those above it, without Error. */
  readonly classes: readonly string[];
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Its own properties, as far as they can be copied. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly cause?: CarriedError | undefined;
}

/** Most causes of causes that go along. */
const MAX_CAUSES = 5;

export function carryError(error: Error, depth = 0): CarriedError {
  const { name, message, stack, cause } = error;
  const classes: string[] = [];
  for (let at = Object.getPrototypeOf(error); at && at !== Error.prototype; at = Object.getPrototypeOf(at))
    classes.push(String(at.constructor?.name));
  const fields = Object.fromEntries(Object.entries(error).filter(([key, value]) => key !== 'cause' && isCopied(value)));
  const causes = cause instanceof Error && depth < MAX_CAUSES ? { cause: carryError(cause, depth + 1) } : {};
  return { classes, name, message, stack, fields, ...causes };
}

/**
 * Makes the error again. It is an instance of the nearest of its classes that Catamount or JavaScript has, or a rule of the job
 * class names; otherwise of Error.
 */
export function receiveError(carried: CarriedError, jobClass: object | undefined): Error {
  const known: readonly unknown[] = [
    ...(jobClass ? [...listRules(jobClass)].flatMap(({ classes }) => classes) : []),
    ...Object.values(ours),
    ...[TypeError, RangeError, SyntaxError, ReferenceError, URIError, EvalError, AggregateError],
  ];
  const named = (name: string) => (known as readonly ErrorClass[]).find((each) => each.name === name);
  const found = carried.classes.map(named).find((each) => each !== undefined);
  const error = new Error(carried.message);
  if (found) Object.setPrototypeOf(error, found.prototype as object);
  Object.assign(error, carried.fields);
  const hidden = { configurable: true, writable: true, enumerable: false };
  Object.defineProperty(error, 'stack', { ...hidden, value: carried.stack });
  if (error.name !== carried.name) Object.defineProperty(error, 'name', { ...hidden, value: carried.name });
  if (carried.cause) Object.defineProperty(error, 'cause', { ...hidden, value: receiveError(carried.cause, jobClass) });
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
