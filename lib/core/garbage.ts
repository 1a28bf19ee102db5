import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * What gives memory back to the system in one turn: else V8 keeps the pages that it has freed, as of Node 22 some 18 MB of a
 * worker, for as long as it likes. Node 20 would take an argument for the wish for a small collection.
 */
const THOROUGH = { type: 'major', execution: 'sync', flavor: 'last-resort' };
const KNOWS_FLAVORS = Number(process.versions.v8.split('.')[0]) >= 12;

/** A full collection, at rest or on an operator's request. Node shows `gc` only behind a flag, which may be set late. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc !== 'function') return;
  if (KNOWS_FLAVORS) gc(THOROUGH);
  else gc();
}
