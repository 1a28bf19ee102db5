export function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/**
 * @returns true for a write that was rejected because the server is no master any more, or not that of the keys. Redis 6.2 puts the code of an
 * error inside a script behind a dash, in the middle of the message.
 */
export function isDemotion(error: unknown): boolean {
  return error instanceof Error && /(?:^|-)(?:READONLY|NOREPLICAS|MOVED)\b/.test(error.message);
}
