import type { JobFilter } from './filter';
import { InvalidRequestError } from './invalid-request';
import type { JobRef } from './reference';

/** Jobs to move: these, or all that match; `{ filter: {} }` for the whole set. */
export type Selection = { readonly ids: readonly JobRef[] } | { readonly filter: JobFilter };

export interface BulkOptions {
  /** At most so many jobs are moved. Default: no limit. */
  readonly limit?: number | undefined;
  /** Ends it between two chunks. */
  readonly signal?: AbortSignal | undefined;
  /** Told after each chunk. */
  readonly onProgress?: ((moved: number) => void) | undefined;
}

export interface BulkResult {
  readonly moved: number;
  /** false: it ended at its limit, or by its signal. The same call goes on where it ended. */
  readonly complete: boolean;
}

/** Jobs per chunk. */
export const CHUNK = 200;

/** How far one bulk move has come. */
export class BulkRun {
  moved = 0;
  readonly startedAt = Date.now();
  private readonly limit: number;

  /** @throws InvalidRequestError for an impossible limit. */
  constructor(private readonly options: BulkOptions) {
    const { limit = Number.POSITIVE_INFINITY } = options;
    if (limit !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(limit) || limit < 0)) {
      throw new InvalidRequestError(`limit is ${limit}; give a whole number from 0, or none`);
    }
    this.limit = limit;
  }

  /** How many the next chunk may move; 0: no more chunk. */
  get chunk(): number {
    return this.options.signal?.aborted ? 0 : Math.min(CHUNK, this.limit - this.moved);
  }

  add(moved: number): void {
    this.moved += moved;
    this.options.onProgress?.(this.moved);
  }
}
