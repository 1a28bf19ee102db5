import type { ListedSet } from '../../job/admin/job-admin';
import { checkQueue, type JobFilter } from '../../job/sets/query';
import { badQuery } from '../ui/bad-query';
import { localizedProblem } from '../ui/shell';
import type { SetPage } from './set-pages';

/** Spans of the time filter into the past or the future, ms. */
export const SPANS = { hour: 3_600_000, day: 86_400_000, week: 604_800_000 } as const;
type SpanName = keyof typeof SPANS;

/** Filters of a list, besides its order and page. Their values are texts, '' for any. */
const FILTERS = ['q', 'class', 'queue', 'error', 'tag', 'when'] as const;
export type Filters = Readonly<Record<(typeof FILTERS)[number], string>>;

const MAX_LENGTH = 1000;
const NO_FILTERS: Filters = { q: '', class: '', queue: '', error: '', tag: '', when: '' };

/** Reads the allowed filters. @throws ProblemError 400 that names the invalid one. */
export function readFilters(read: (name: string) => unknown, allowed: readonly (keyof Filters)[] = FILTERS): Filters {
  const filters: Record<string, string> = { ...NO_FILTERS };
  for (const name of allowed) filters[name] = readText(name, read(name));
  const { queue, when } = filters as Filters;
  if (queue !== '') orRefuse('queue', queue, () => checkQueue(queue));
  if (when !== '' && !Object.hasOwn(SPANS, when)) throw badQuery('when', when);
  return filters as Filters;
}

function readText(name: string, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw localizedProblem(400, 'queryTwice', { values: { name } });
  const text = value.trim();
  if (text.length > MAX_LENGTH || text.includes('\0')) throw badQuery(name === 'q' ? 'text' : name, text, 'text');
  return text;
}

/** The filters of a set's list. Only failed jobs have errors. */
export function allowedFilters({ failed }: Pick<SetPage, 'failed'>): readonly (keyof Filters)[] {
  return FILTERS.filter((name) => name !== 'error' || failed);
}

export function isFiltering(filters: Filters): boolean {
  return FILTERS.some((name) => filters[name] !== '');
}

/**
 * Makes the query of a list from its filters.
 * @param now reference of the spans, ms since 1970.
 * @param options.endedBefore excludes jobs that died, or were done, later, so that a number shown for confirmation stays valid.
 */
export function jobFilter(
  list: ListedSet | 'waiting',
  filters: Filters,
  now: number,
  { endedBefore }: { readonly endedBefore?: Date } = {},
): JobFilter {
  const { q, class: className, queue, error, tag, when } = filters;
  const span = when === '' ? undefined : SPANS[when as SpanName];
  const later = span === undefined ? undefined : new Date(now + span);
  const hasEnded = list === 'dead' || list === 'finished';
  return {
    text: q,
    class: className,
    queue,
    error,
    tag,
    since: hasEnded && span !== undefined ? new Date(now - span) : undefined,
    until: hasEnded ? endedBefore : later,
  };
}

function orRefuse(name: string, value: string, check: () => void): void {
  try {
    check();
  } catch {
    throw badQuery(name, value);
  }
}
