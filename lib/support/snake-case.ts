/**
 * The same value with keys as operators' JSON has them: `lagP99Ms` is `lag_p99_ms`, and a moment is in ISO 8601. Keys that
 * are no names, such as `GET 2xx` or `web.0`, stay; values that users have named the keys of do not belong in here.
 */
export function snakeCase(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(snakeCase);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [snakeKey(key), snakeCase(each)]));
}

function snakeKey(key: string): string {
  return /^[a-z][A-Za-z0-9]*$/.test(key) ? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : key;
}
