import { InvalidRequestError } from './invalid-request';
import type { Position } from './walk-script';

/** A position as a text that fits into a URL. It is of one set only. */
export function writeCursor(set: string, { score, queue, id }: Position): string {
  return Buffer.from(JSON.stringify([set, score, queue, id])).toString('base64url');
}

/** @throws InvalidRequestError for what `writeCursor` has not written for this set. */
export function readCursor(set: string, cursor: string): Position {
  try {
    const [itsSet, score, queue, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    if (itsSet === set && Number.isFinite(score) && typeof queue === 'string' && typeof id === 'string') {
      return { score: Number(score), queue, id };
    }
  } catch {
    // Not even JSON.
  }
  throw new InvalidRequestError(
    `the cursor is ${JSON.stringify(cursor)?.slice(0, 100)}; give \`next\` of a page of the ${set} set, or none`,
  );
}
