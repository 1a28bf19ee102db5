import assert from 'node:assert/strict';

/** Below these keys, with the arguments of jobs and mails, users choose the names. */
const OF_USERS = new Set(['arguments', 'args', 'checkpoint']);

/** Asserts that every key of JSON for operators is in snake_case, the one form used by all of its endpoints. */
export function assertSnakeCase(json: unknown, path = ''): void {
  if (Array.isArray(json)) for (const [index, each] of json.entries()) assertSnakeCase(each, `${path}[${index}]`);
  else if (typeof json === 'object' && json !== null) {
    for (const [key, value] of Object.entries(json)) {
      assert.doesNotMatch(key, /^[a-z][a-z0-9]*[A-Z]/, `${path}.${key} is not in snake_case`);
      if (!OF_USERS.has(key)) assertSnakeCase(value, `${path}.${key}`);
    }
  }
}
