import { InvalidRequestError } from './invalid-request';
import type { Sort } from './page';

/** As much of a job as sorting and counting take. */
export interface JobOutline {
  readonly id: string;
  readonly queue: string;
  /** When it died, or will run, ms since 1970. */
  readonly at: number;
  /** The job name; undefined when the record does not tell. */
  readonly class: string | undefined;
  /** Name of its latest error, such as `TypeError`. */
  readonly error: string | undefined;
  readonly attempts: number;
}

export interface Outlines {
  readonly jobs: readonly JobOutline[];
  /** false: there may be more. */
  readonly complete: boolean;
}

/** More are not sorted: they must all be looked at for every page. */
export const SORTED_AT_MOST = 20_000;

/** Those with nothing to go by come last; the rest is settled by time. @throws InvalidRequestError when there are too many. */
export function sortOutlines({ jobs, complete }: Outlines, { by, descending }: Sort): JobOutline[] {
  if (!complete) {
    throw new InvalidRequestError(
      `more than ${SORTED_AT_MOST} jobs match, which is too many to sort by ${by}: filter further, or sort by time`,
    );
  }
  const sign = descending ? -1 : 1;
  return [...jobs].sort((a, b) => {
    const [one, other] = [a[by], b[by]];
    if (one === other) return b.at - a.at || (a.id < b.id ? -1 : 1);
    if (one === undefined || other === undefined) return one === undefined ? 1 : -1;
    return one < other ? -sign : sign;
  });
}
