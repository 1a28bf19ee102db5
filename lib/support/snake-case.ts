/** The type of a value in operators' JSON: `lagP99Ms` is `lag_p99_ms`, a Date is ISO 8601 text. */
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
 * Converts keys to those of operators' JSON. Keys that are no identifiers, such as `GET 2xx` or `web.0`, stay. Do not
 * pass values whose keys users have named, since they would be renamed.
 */
export function snakeCase<T>(value: T): SnakeCased<T> {
  return withKeys(value, snakeKey) as SnakeCased<T>;
}

/** Undoes `snakeCase`, for our own programs that read operators' JSON. Times stay text. */
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
