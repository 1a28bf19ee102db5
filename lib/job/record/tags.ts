import type { JsonValue } from './json';

/**
 * What JSON has no form for travels as an object with one key that begins with `$`. An object of the app's own that
 * looks like one gets another `$` on its way out, and loses it on its way in, so the two are never mistaken.
 */
export type Tag = '$date' | '$bigint' | '$number' | '$model' | '$value';

export function tagged(tag: Tag, content: JsonValue): JsonValue {
  return { [tag]: content };
}

/** The only key of an object, when it begins with `$`: of a tag, or of an object that looks like one. */
export function dollarKey(keys: readonly string[]): string | undefined {
  const [key = ''] = keys;
  return keys.length === 1 && key.charCodeAt(0) === DOLLAR ? key : undefined;
}

const DOLLAR = 36;
