import { actionsOn, type ListedSet } from '../../job/admin/job-admin';
import type { JobAction } from '../../job/sets/query';

/** A set of jobs with a paged list. The texts are `jobs.<name>`. */
export interface SetPage {
  readonly name: ListedSet;
  /** Actions on its jobs. The texts are `jobs.actions.<name>`. */
  readonly actions: readonly JobAction[];
  /** True when its jobs have failed, so that they have errors and attempts. */
  readonly failed: boolean;
}

function setPage(name: ListedSet, failed: boolean): SetPage {
  return { name, actions: actionsOn(name), failed };
}

export const SET_PAGES: readonly SetPage[] = [
  setPage('scheduled', false),
  setPage('retry', true),
  setPage('dead', true),
];

/** True for actions that destroy nothing; on jobs that were ticked they need no confirmation. */
export function isHarmless(action: JobAction): boolean {
  return action === 'retry' || action === 'promote';
}
