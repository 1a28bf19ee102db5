import { actionsOn, type ListedSet } from '../../job/admin/job-admin';
import type { JobAction, SortKey } from '../../job/sets/query';

/** A set of jobs with a paged list. The texts are `jobs.<name>`. */
export interface SetPage {
  readonly name: ListedSet;
  /** Actions on its jobs. The texts are `jobs.actions.<name>`. */
  readonly actions: readonly JobAction[];
  /** Its default order by time. */
  readonly newestFirst: boolean;
  readonly sorts: readonly SortKey[];
  /** True when its jobs have failed, so that they have errors and attempts. */
  readonly failed: boolean;
}

const FAILED: readonly SortKey[] = ['class', 'queue', 'error', 'attempts', 'at'];

function setPage(name: ListedSet, sorts: readonly SortKey[], newestFirst = false): SetPage {
  return { name, actions: actionsOn(name), newestFirst, sorts, failed: sorts === FAILED };
}

export const SET_PAGES: readonly SetPage[] = [
  setPage('scheduled', ['class', 'queue', 'at']),
  setPage('retry', FAILED),
  setPage('dead', FAILED, true),
];

/** True for actions that destroy nothing; on jobs that were ticked they need no confirmation. */
export function isHarmless(action: JobAction): boolean {
  return action === 'retry' || action === 'promote';
}
