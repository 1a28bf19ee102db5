import { actionsOn, type ListedSet } from '../../job/admin/job-admin';
import { checkQueue, type JobAction, type JobFilter, SORT_KEYS, type Sort, type SortKey } from '../../job/sets/query';
import type { OpsContext } from '../ui/context';
import { localizedProblem } from '../ui/shell';

/** How far back, or ahead, the filter for time reaches, ms. */
export const SPANS = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 } as const;
type SpanName = keyof typeof SPANS;

/** What may be asked of a list, besides its order and page. As texts, '' for any. */
const FILTERS = ['q', 'class', 'queue', 'error', 'tag', 'when', 'failed'] as const;
export type Filters = Readonly<Record<(typeof FILTERS)[number], string>>;

const LONGEST = 1000;
const NO_FILTERS: Filters = { q: '', class: '', queue: '', error: '', tag: '', when: '', failed: '' };
/** Those for a length of time. */
const TIMES = ['when', 'failed'] as const;

/** @throws ProblemError 400 that says which part of the query makes no sense. */
export function readFilters(given: (name: string) => unknown, allowed: readonly (keyof Filters)[] = FILTERS): Filters {
  const filters: Record<string, string> = { ...NO_FILTERS };
  for (const name of allowed) filters[name] = readText(name, given(name));
  const { queue } = filters as Filters;
  if (queue !== '') orRefuse('queue', queue, () => checkQueue(queue));
  for (const name of TIMES) {
    const { [name]: span = '' } = filters;
    if (span !== '' && !Object.hasOwn(SPANS, span)) throw badQuery(name, span, 'when');
  }
  return filters as Filters;
}

function readText(name: string, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw localizedProblem(400, 'queryTwice', { values: { name } });
  const text = value.trim();
  if (text.length > LONGEST || text.includes('\0')) throw badQuery(name === 'q' ? 'text' : name, text, 'text');
  return text;
}

/** What may be asked of the list of a set: only jobs that have failed have errors, and the dead have died of their failure. */
export function filtersOf(page: Pick<SetPage, 'failed' | 'name'>): readonly (keyof Filters)[] {
  return FILTERS.filter((name) => (name !== 'error' || page.failed) && (name !== 'failed' || page.name === 'retry'));
}

export function isFiltering(filters: Filters): boolean {
  return FILTERS.some((name) => filters[name] !== '');
}

/**
 * @param now what the filter for time counts from, ms since 1970. Dead jobs that die later are not meant by it, and
 * where `frozen` not by any other filter.
 */
export function jobFilter(page: Pick<SetPage, 'name'>, filters: Filters, now: number, frozen = false): JobFilter {
  const { q, class: className, queue, error, tag, when, failed } = filters;
  const span = when === '' ? undefined : SPANS[when as SpanName];
  const failedWithin = failed === '' ? undefined : SPANS[failed as SpanName];
  const dead = page.name === 'dead';
  return {
    text: q,
    class: className,
    queue,
    error,
    tag,
    failedSince: failedWithin === undefined ? undefined : new Date(now - failedWithin),
    since: dead && span !== undefined ? new Date(now - span) : undefined,
    until: dead ? (frozen ? new Date(now) : undefined) : span === undefined ? undefined : new Date(now + span),
  };
}

/** `class`, `-class`. @throws ProblemError 400. */
export function readSort({ query }: OpsContext, { sorts }: Pick<SetPage, 'sorts'>): Sort | undefined {
  const { sort } = query;
  if (sort === undefined) return undefined;
  const [, minus, key] = /^(-?)(\w+)$/.exec(String(sort)) ?? [];
  const by = SORT_KEYS.find((each: SortKey) => each === key);
  if (typeof sort !== 'string' || by === undefined || !sorts.includes(by)) throw badQuery('sort', String(sort));
  return { by, descending: minus === '-' };
}

/** From 1. @throws ProblemError 400. */
export function readPage({ query }: OpsContext): number {
  const { page = '1' } = query;
  if (typeof page !== 'string' || !/^[1-9]\d{0,8}$/.test(page)) throw badQuery('page', String(page));
  return Number(page);
}

/** @param reason `jobs.bad.<reason>` says what would make sense. */
export function badQuery(name: string, value: string, reason = name) {
  const shown = value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return localizedProblem(400, `badQuery.${reason}`, { values: { name, value: shown } });
}

function orRefuse(name: string, value: string, check: () => void): void {
  try {
    check();
  } catch {
    throw badQuery(name, value);
  }
}

/** A set of jobs, as a list in pages. The texts are `jobs.<name>`. */
export interface SetPage {
  readonly name: ListedSet;
  /** The texts are `jobs.acts.<name>`. */
  readonly actions: readonly JobAction[];
  /** Its order, when nobody asks for another. */
  readonly newestFirst: boolean;
  readonly sorts: readonly SortKey[];
  /** Its jobs have failed: there are errors and attempts. */
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

/** Done without a question when single jobs are meant: it costs nothing. */
export function isHarmless(action: JobAction): boolean {
  return action === 'retry' || action === 'promote';
}
