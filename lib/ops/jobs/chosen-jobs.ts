import type { JobSet } from '../../job/set/job-set';
import type { Selection } from '../../job/set/selection';
import { refusal } from '../page/refusal';
import { type Filters, filtersOf, jobFilter, readFilters } from './list-query';
import type { SetPage } from './set-pages';
import { readRef } from './shown-job';

/** The jobs that a form or a link means: some that are named, or all that match. */
export interface ChosenJobs {
  /** `queue/id`; undefined: all that match. */
  readonly refs: readonly string[] | undefined;
  readonly filters: Filters;
  /** What the filter for time counts from; dead jobs that died later are not meant. ms since 1970. */
  readonly asOf: number;
  readonly selection: Selection;
}

/** Jobs by class, the most first. */
export interface Tally {
  readonly count: number;
  readonly classes: readonly { readonly name: string; readonly count: number }[];
  /** In all other classes; `jobs` of them. */
  readonly others: { readonly classes: number; readonly jobs: number };
}

/** Jobs are told by their classes up to so many; the rest is counted as others. */
const TOLD = 50_000;
const CLASSES_SHOWN = 3;
/** A question may be answered so much later, ms. */
const PATIENCE_MS = 86_400_000;

/** @throws ProblemError 400 or 422 that says what is wrong with them. */
export function readChosen(fields: URLSearchParams, page: SetPage): ChosenJobs {
  const filters = readFilters((name) => fields.get(name), filtersOf(page));
  const asOf = readTime(fields.get('asOf'));
  if (fields.get('all') === '1') {
    return { refs: undefined, filters, asOf, selection: { filter: jobFilter(page, filters, asOf, true) } };
  }
  const refs = [...new Set(fields.getAll('id'))];
  const ids = refs.map(readRef).filter((ref) => ref !== undefined);
  if (ids.length === 0) throw refusal(422, 'nothingTicked');
  return { refs, filters, asOf, selection: { ids } };
}

/** How many of them there are now, and of which classes. */
export async function tally(set: JobSet, { selection }: ChosenJobs): Promise<Tally> {
  const byClass = new Map<string, number>();
  const add = (name: string | undefined) => byClass.set(name ?? '', (byClass.get(name ?? '') ?? 0) + 1);
  let count: number;
  if ('ids' in selection) {
    const entries = await set.entries(selection.ids);
    for (const entry of entries) add(entry.class);
    count = entries.length;
  } else {
    const { jobs, complete } = await set.outlines(selection.filter, TOLD);
    for (const job of jobs) add(job.class);
    count = complete ? jobs.length : await set.count(selection.filter);
  }
  const all = [...byClass].map(([name, each]) => ({ name, count: each })).sort((a, b) => b.count - a.count);
  const classes = all.length <= CLASSES_SHOWN ? all : all.slice(0, CLASSES_SHOWN - 1);
  const jobs = count - classes.reduce((sum, each) => sum + each.count, 0);
  return { count, classes, others: { classes: all.length - classes.length, jobs } };
}

function readTime(text: string | null): number {
  const now = Date.now();
  if (text === null) return now;
  const time = Number(text);
  if (!/^\d{13}$/.test(text) || time > now || time < now - PATIENCE_MS) throw refusal(422, 'stale');
  return time;
}
