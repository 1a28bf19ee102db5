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
  setPage('finished', false),
];

/** An action that destroys more jobs than this asks the operator to type their number. */
const TYPED_ABOVE = 25;

/** True when the operator has to type the number of jobs: for destroying many, not for a retry. */
export function mustType(action: JobAction | null, count: number): boolean {
  return (action === 'delete' || action === 'kill') && count > TYPED_ABOVE;
}

/** False when the operator has to type the number of jobs, and typed another or none. */
export function isTyped(action: JobAction, count: number, form: URLSearchParams): boolean {
  return !mustType(action, count) || form.get('count')?.trim() === String(count);
}

/** True for actions that destroy nothing; on jobs that were ticked they need no confirmation. */
export function isHarmless(action: JobAction): boolean {
  return action === 'retry' || action === 'promote';
}
