import { inspect, types } from 'node:util';

/** Makes an Error of anything that was thrown; a value that cannot even be read becomes an error that says so. */
export function toError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error) return readable(thrown);
    return new Error(typeof thrown === 'object' ? inspect(thrown, { depth: 1 }) : String(thrown));
  } catch {
    return new Error(`what was thrown cannot be read: ${describeKind(thrown)}`);
  }
}

/** Reads the properties that any reader of an error uses. @throws the error of a getter that throws. */
function readable(error: Error): Error {
  for (const part of [error.name, error.message, error.stack]) `${String(part)}`;
  if (error.cause instanceof Error) readable(error.cause);
  return error;
}

function describeKind(thrown: unknown): string {
  return types.isProxy(thrown) ? 'a Proxy' : types.isNativeError(thrown) ? 'an error that throws' : typeof thrown;
}
