import { ProblemError } from './problem';

/** @throws ProblemError 400 that says what is wrong with the text; never anything else. */
export function parseJson(bytes: Buffer): unknown {
  const value = parse(decode(bytes));
  const key = unsafeKey(value);
  if (key !== undefined) throw malformed(`The key ${JSON.stringify(key)} is not allowed.`);
  return value;
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed('The body is not valid UTF-8.');
  }
}

function parse(text: string): unknown {
  if (text.trim() === '') throw malformed('The body is empty.');
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('The body is not well-formed JSON.');
  }
}

/**
 * A key that code merging the value into another object would write into every object's prototype. Looks with a list of
 * its own, not by calling itself: 100 kB of brackets nest deeper than the stack reaches.
 */
function unsafeKey(value: unknown): string | undefined {
  const unseen = [value];
  while (unseen.length > 0) {
    const part = unseen.pop();
    if (typeof part !== 'object' || part === null) continue;
    for (const [key, inner] of Object.entries(part)) {
      if (key === '__proto__') return key;
      if (key === 'constructor' && typeof inner === 'object' && inner !== null && Object.hasOwn(inner, 'prototype')) {
        return key;
      }
      unseen.push(inner);
    }
  }
  return undefined;
}

function malformed(detail: string): ProblemError {
  return new ProblemError(400, { title: 'Malformed JSON', detail });
}
