import type { FoundJob } from './found-job';
import type { PageBounds } from './page';

/** Records that one request looks at. More would take seconds. */
const SCAN_LIMIT = 500_000;

export interface Step<Position> {
  /** Goes on behind it. */
  readonly after: Position | undefined;
  /** Matching jobs to pass over. */
  readonly skip: number;
  /** Jobs wanted. */
  readonly limit: number;
  /** Go on when there are enough, to count. */
  readonly counting: boolean;
}

export interface StepResult<Position> {
  readonly matched: number;
  readonly scanned: number;
  /** Nothing is left behind `position`. */
  readonly done: boolean;
  readonly position: Position | undefined;
  readonly jobs: readonly FoundJob[];
}

/** Looks through jobs in an order, in steps that are bounded in time, so that Redis serves others between them. */
export interface Walker<Position> {
  step(step: Step<Position>): Promise<StepResult<Position>>;
  positionOf(job: FoundJob): Position;
  /** How many jobs there are; undefined when that takes a walk, since there is a filter. */
  readonly size: (() => Promise<number>) | undefined;
}

export interface WalkPage<Position> {
  readonly jobs: readonly FoundJob[];
  readonly total: number | undefined;
  readonly complete: boolean;
  /** Where the next page begins; undefined when nothing follows. */
  readonly next: Position | undefined;
}

/** A page of a walk, and how many jobs it has in all. */
export async function walkPage<P>(
  walker: Walker<P>,
  { offset, limit, count }: PageBounds,
  after: P | undefined,
): Promise<WalkPage<P>> {
  // Behind a cursor the count begins at the beginning.
  const counting = count && !walker.size && after === undefined;
  const { matched, ...page } = await run(walker, { after, skip: offset, limit, counting });
  if (!count) return { ...page, total: undefined };
  return counting ? { ...page, total: matched } : { ...page, ...(await countWalk(walker)) };
}

export async function countWalk<P>(walker: Walker<P>): Promise<{ readonly total: number; readonly complete: boolean }> {
  if (walker.size) return { total: await walker.size(), complete: true };
  const { matched, complete } = await run(walker, { after: undefined, skip: 0, limit: 0, counting: true });
  return { total: matched, complete };
}

async function run<P>(walker: Walker<P>, want: Step<P>) {
  const jobs: FoundJob[] = [];
  const enough = want.counting ? Number.POSITIVE_INFINITY : want.skip + want.limit;
  let [matched, scanned, done, position] = [0, 0, false, want.after];
  while (!done && scanned < SCAN_LIMIT && matched < enough) {
    const skip = Math.max(0, want.skip - matched);
    const step = await walker.step({ ...want, after: position, skip, limit: want.limit - jobs.length });
    jobs.push(...step.jobs);
    matched += step.matched;
    scanned += step.scanned;
    ({ done, position } = step);
  }
  const last = jobs.at(-1);
  const more = want.counting ? matched > want.skip + jobs.length : !done;
  // A page that is not full ends where the walk did.
  const next = jobs.length === want.limit ? more && last && walker.positionOf(last) : done ? undefined : position;
  return { jobs, matched, complete: done || !want.counting, next: next || undefined };
}
