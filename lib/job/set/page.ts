import type { JobEntry } from './entry';
import type { JobFilter } from './filter';
import { InvalidRequestError } from './invalid-request';

export const SORT_KEYS = ['at', 'class', 'queue', 'error', 'attempts'] as const;
export type SortKey = (typeof SORT_KEYS)[number];

export interface Sort {
  /** `at`: when it died, or will run. */
  readonly by: SortKey;
  readonly descending: boolean;
}

export interface PageRequest extends JobFilter {
  /** Default: the set's own order. By anything but `at` a set of at most 20,000 matching jobs, and without `after`. */
  readonly sort?: Sort | undefined;
  /** Matching jobs to pass over. Default 0. */
  readonly offset?: number | undefined;
  /** At most so many, up to 500. Default 25. */
  readonly limit?: number | undefined;
  /** `next` of an earlier page: goes on behind its last job, whatever has come and gone since. */
  readonly after?: string | undefined;
  /** false: `total` is not wanted, which saves looking through the whole set. Default true. */
  readonly count?: boolean | undefined;
}

export interface JobPage {
  readonly entries: readonly JobEntry[];
  /** How many match; undefined when it was not wanted. */
  readonly total: number | undefined;
  /** false: the set is so large that only its first 500,000 jobs were looked at for `total`. */
  readonly complete: boolean;
  /** Cursor of the next page; undefined when nothing follows. */
  readonly next: string | undefined;
}

export interface PageBounds {
  readonly offset: number;
  readonly limit: number;
  readonly count: boolean;
}

const LIMIT = 25;
const MOST = 500;

/** @throws InvalidRequestError. */
export function checkBounds({ offset = 0, limit = LIMIT, count = true }: PageRequest): PageBounds {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new InvalidRequestError(`offset is ${offset}; give a whole number from 0`);
  }
  if (!Number.isSafeInteger(limit) || limit < 0 || limit > MOST) {
    throw new InvalidRequestError(`limit is ${limit}; give a whole number from 0 to ${MOST}`);
  }
  return { offset, limit, count };
}

/** @throws InvalidRequestError. */
export function checkSort({ sort, after }: PageRequest): Sort | undefined {
  if (sort === undefined) return undefined;
  if (!SORT_KEYS.includes(sort.by)) {
    throw new InvalidRequestError(`sort by ${JSON.stringify(sort.by)?.slice(0, 100)}; give ${SORT_KEYS.join(', ')}`);
  }
  if (sort.by !== 'at' && after !== undefined) {
    throw new InvalidRequestError(`a page sorted by ${sort.by} follows no cursor; give offset instead of after`);
  }
  return sort;
}
