/** A value as operators' JSON has it: `lagP99Ms` is `lag_p99_ms`, a moment is in ISO 8601. */
export type SnakeCased<T> = T extends Date
  ? string
  : T extends readonly (infer E)[]
    ? SnakeCased<E>[]
    : T extends object
      ? { -readonly [K in keyof T as K extends string ? SnakeKey<K> : K]: SnakeCased<T[K]> }
      : T;

type SnakeKey<K extends string> = K extends `${infer First}${infer Rest}`
  ? First extends Lowercase<First>
    ? `${First}${SnakeKey<Rest>}`
    : `_${Lowercase<First>}${SnakeKey<Rest>}`
  : K;

/**
 * The same value with keys as operators' JSON has them. Keys that are no names, such as `GET 2xx` or `web.0`, stay; values
 * that users have named the keys of do not belong in here.
 */
export function snakeCase<T>(value: T): SnakeCased<T> {
  return withKeys(value, snakeKey) as SnakeCased<T>;
}

/** What `snakeCase` was given, for those of our own programs that read operators' JSON. Moments stay text. */
export function camelCase(json: unknown): unknown {
  return withKeys(json, camelKey);
}

function withKeys(value: unknown, rename: (key: string) => string): unknown {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((each) => withKeys(each, rename));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [rename(key), withKeys(each, rename)]));
}

function snakeKey(key: string): string {
  return /^[a-z][A-Za-z0-9]*$/.test(key) ? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : key;
}

function camelKey(key: string): string {
  return /^[a-z][a-z0-9_]*$/.test(key) ? key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) : key;
}
