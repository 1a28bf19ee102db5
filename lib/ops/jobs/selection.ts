import type { JobSet } from '../../job/sets/job-set';
import { isRef, type JobRef, type Selection } from '../../job/sets/query';
import { localizedProblem } from '../ui/shell';
import { allowedFilters, type Filters, jobFilter, readFilters } from './filters';
import type { SetPage } from './set-pages';

/** The jobs that a form or a link refers to: single ones, or all that match a filter. */
export interface JobSelection {
  /** Jobs as `queue/id`; undefined selects all that match. */
  readonly refs: readonly string[] | undefined;
  readonly filters: Filters;
  /** Reference of the time filter, ms since 1970. Jobs that died, or were done, later are not selected. */
  readonly asOf: number;
  readonly selection: Selection;
}

/** Number of jobs by class, the most frequent class first. */
export interface SelectedCounts {
  readonly count: number;
  readonly classes: readonly { readonly name: string; readonly count: number }[];
  /** The classes that are not listed, and the number of their jobs. */
  readonly others: { readonly classes: number; readonly jobs: number };
}

const MAX_CLASSES = 3;
/** A question can be answered within this time, ms. */
const QUESTION_TTL_MS = 86_400_000;

/** Reads the selection from the fields. @throws ProblemError 400 or 422 that names the invalid field. */
export function readSelection(fields: URLSearchParams, page: SetPage): JobSelection {
  const filters = readFilters((name) => fields.get(name), allowedFilters(page));
  const asOf = readTime(fields.get('asOf'));
  if (fields.get('all') === '1') {
    return {
      refs: undefined,
      filters,
      asOf,
      selection: { filter: jobFilter(page.name, filters, asOf, { endedBefore: new Date(asOf) }) },
    };
  }
  const refs = [...new Set(fields.getAll('id'))];
  const ids = refs.map(readRef).filter((ref) => ref !== undefined);
  if (ids.length === 0) throw localizedProblem(422, 'nothingTicked');
  return { refs, filters, asOf, selection: { ids } };
}

export async function countSelected(set: JobSet, { selection }: JobSelection): Promise<SelectedCounts> {
  const byClass = new Map<string, number>();
  const add = (name: string | undefined) => byClass.set(name ?? '', (byClass.get(name ?? '') ?? 0) + 1);
  let count: number;
  if ('ids' in selection) {
    const entries = await set.entries(selection.ids);
    for (const entry of entries) add(entry.class);
    count = entries.length;
  } else {
    for (const { name, count: each } of await set.classes(selection.filter)) byClass.set(name, each);
    count = await set.count(selection.filter);
  }
  const all = [...byClass].map(([name, each]) => ({ name, count: each })).sort((a, b) => b.count - a.count);
  const classes = all.length <= MAX_CLASSES ? all : all.slice(0, MAX_CLASSES - 1);
  const jobs = count - classes.reduce((sum, each) => sum + each.count, 0);
  return { count, classes, others: { classes: all.length - classes.length, jobs } };
}

function readTime(text: string | null): number {
  const now = Date.now();
  if (text === null) return now;
  const time = Number(text);
  if (!/^\d{13}$/.test(text) || time > now || time < now - QUESTION_TTL_MS) throw localizedProblem(422, 'stale');
  return time;
}

/** Parses `queue/id`; undefined when it is invalid. */
function readRef(text: string): Exclude<JobRef, string> | undefined {
  const at = text.indexOf('/');
  const ref = { queue: text.slice(0, Math.max(0, at)), id: text.slice(at + 1) };
  return isRef(ref) ? ref : undefined;
}
