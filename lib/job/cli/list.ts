import { fromNow } from '../../support/duration';
import { countText, escapeControls, pluralize } from '../../support/text';
import { table, truncate } from '../../support/text-table';
import { busyJobJson, type JobJson, jobJson } from '../admin/job-json';
import type { JobFilter, PageRequest } from '../sets/query';
import { MAX_READ } from '../sets/set-reader';
import {
  type Answer,
  type CommandContext,
  checkClass,
  checkQueues,
  FILTERS,
  type JobCommand,
  type Options,
  readFilter,
  readNumber,
  redactionRules,
  suggestion,
  wrongUsage,
} from './command';

const COLUMNS = {
  retry: ['id', 'class', 'queue', 'failed', 'next', 'arguments', 'error'],
  scheduled: ['id', 'class', 'queue', 'due', 'arguments'],
  dead: ['id', 'class', 'queue', 'failed', 'died', 'arguments', 'error'],
  waiting: ['id', 'class', 'queue', 'failed', 'since', 'arguments'],
} as const satisfies Readonly<Record<string, readonly ColumnName[]>>;

const PARTIAL = `\nThere are more than ${countText(MAX_READ)} jobs, and only that many were looked at: select by --class, --queue or time.`;

type StoredSet = keyof typeof COLUMNS;
const BUSY = 'busy';
const SETS: readonly string[] = [...Object.keys(COLUMNS), BUSY];
const LIMIT = 25;
const NO_JOBS: Readonly<Record<string, string>> = {
  retry: 'No job waits for a retry.',
  scheduled: 'No job is scheduled.',
  dead: 'No job is dead.',
  waiting: 'No job waits.',
  busy: 'No job runs.',
};

export const LIST: JobCommand = {
  name: 'list',
  operands: [{ name: 'SET' }],
  options: [...FILTERS, 'limit', 'page', 'after'],
  help: 'jobs of a set: retry, scheduled, dead, waiting or busy; with filters, page by page',
  prepare: ({ operands: [set = ''], options }) => {
    if (!SETS.includes(set)) {
      throw wrongUsage(`There is no set of jobs "${set}".${suggestion(set, SETS)} There are: ${SETS.join(', ')}.`);
    }
    const request = readRequest(options);
    if (set !== BUSY) return (context) => listSet(context, set as StoredSet, request);
    if (options.tag ?? options.error ?? options.text ?? options.after)
      throw wrongUsage('Only the queue, class and attempt of busy jobs are known: use --queue and --class.');
    return (context) => listBusy(context, request);
  },
};

interface ListRequest extends PageRequest {
  readonly offset: number;
  readonly limit: number;
}

function readRequest(options: Options): ListRequest {
  const limit = readNumber('limit', options.limit) ?? LIMIT;
  const page = readNumber('page', options.page) ?? 1;
  if (limit > 500) throw wrongUsage(`--limit is ${limit}; a page has at most 500 jobs.`);
  if (options.after !== undefined && options.page !== undefined) throw wrongUsage('Give --page or --after, not both.');
  return { ...readFilter(options), limit, offset: (page - 1) * limit, after: options.after };
}

async function listSet(context: CommandContext, set: StoredSet, request: ListRequest): Promise<Answer> {
  const { admin, terminal } = context;
  await checkQueues(context, filteredQueues(request));
  const page = await admin.set(set).page(request);
  const { entries, total = 0, complete, isPartial, next } = page;
  if (total === 0) checkClass(context, request.class);
  const rules = redactionRules(context);
  const jobs = entries.map((entry) => jobJson(entry, rules));
  const { columns } = terminal;
  const names = columnsThatFit(COLUMNS[set], columns);
  const lines = jobs.length > 0 ? [...table(jobRows(jobs, names, columns), columns), ''] : [];
  return {
    json: { set, total, complete, next: next ?? null, jobs },
    text: `${[...lines, summary(set, request, jobs.length, { total, complete, more: next !== undefined, next })].join('\n')}${isPartial ? PARTIAL : ''}\n`,
  };
}

/** Drops columns on a narrow terminal, so that a job still fits in a line. `jobs show` and --json have them all. */
function columnsThatFit(names: readonly ColumnName[], columns = Number.POSITIVE_INFINITY): readonly ColumnName[] {
  return names.filter((name, i) => {
    const needed = NEEDED[name];
    return needed === undefined || i === names.length - 1 || columns >= needed;
  });
}

/** Minimum width of the terminal for the columns that can be dropped. */
const NEEDED: Readonly<Partial<Record<ColumnName, number>>> = { arguments: 130, queue: 100, failed: 90 };

async function listBusy(context: CommandContext, request: ListRequest): Promise<Answer> {
  await checkQueues(context, filteredQueues(request));
  const { offset, limit, class: name } = request;
  const queues = filteredQueues(request);
  const processes = await context.admin.knownProcesses();
  const all = (await context.admin.running())
    .filter((job) => (queues?.includes(job.queue) ?? true) && (name === undefined || job.class === name))
    .map((job) => busyJobJson(job, processes));
  if (all.length === 0) checkClass(context, name);
  const jobs = all.slice(offset, offset + limit);
  const rows = jobs.map((job) => [
    escapeControls(job.id),
    escapeControls(job.class),
    job.queue,
    String(job.attempt),
    shortMoment(job.started_at),
    job.process ?? '–',
  ]);
  const { columns } = context.terminal;
  const heading = ['id', 'class', 'queue', 'run', 'started', 'process'];
  const lines = jobs.length > 0 ? [...table([heading, ...rows], columns), ''] : [];
  const page = { total: all.length, complete: true, more: offset + limit < all.length };
  return {
    json: { set: BUSY, total: all.length, complete: true, next: null, jobs },
    text: `${[...lines, summary(BUSY, request, jobs.length, page)].join('\n')}\n`,
  };
}

function filteredQueues({ queue }: JobFilter): readonly string[] | undefined {
  return queue === undefined ? undefined : [queue].flat();
}

interface Extent {
  readonly total: number;
  readonly complete: boolean;
  readonly more: boolean;
  readonly next?: string | undefined;
}

/** For example `26–50 of 1,204 jobs; go on with --page 3`. */
function summary(set: string, request: ListRequest, shown: number, extent: Extent): string {
  const { offset, limit, after } = request;
  const { total, complete, more, next } = extent;
  if (total === 0)
    return FILTERS.some((name) => request[name] !== undefined) ? `No ${set} job matches.` : `${NO_JOBS[set]}`;
  const all = `${complete ? '' : 'more than '}${pluralize(total, 'job')}`;
  if (shown === 0) return `Nothing on this page, of ${all}.`;
  if (shown === total) return all;
  const place = after === undefined ? `${countText(offset + 1)}–${countText(offset + shown)}` : countText(shown);
  const way = after === undefined ? `--page ${offset / limit + 2}` : `--after ${next}`;
  return `${place} of ${all}${more ? `; go on with ${way}` : ''}`;
}

const REDACTED = '(redacted)';
const UNREADABLE = '(unreadable)';
const NONE = '–';
/** Arguments before another column are cut to a quarter of the terminal's width, but not below this. */
const SOME = 24;

type ColumnName = 'id' | 'class' | 'queue' | 'failed' | 'next' | 'died' | 'since' | 'due' | 'arguments' | 'error';

/** @param columns the width of the terminal; undefined if the output is not a terminal. */
function jobRows(jobs: readonly JobJson[], names: readonly ColumnName[], columns: number | undefined): string[][] {
  return [[...names], ...jobs.map((job) => names.map((name) => cell(job, name, names, columns)))];
}

function cell(job: JobJson, name: ColumnName, names: readonly ColumnName[], columns: number | undefined): string {
  switch (name) {
    case 'id':
      return escapeControls(job.id);
    case 'class':
      return escapeControls(job.class ?? NONE);
    case 'queue':
      return job.queue;
    case 'failed':
      return String(job.attempts);
    case 'arguments': {
      const text = argumentsText(job);
      return columns === undefined || names.at(-1) === name
        ? text
        : truncate(text, Math.max(SOME, Math.floor(columns / 4)));
    }
    case 'error':
      return errorText(job);
    default:
      return shortMoment(job.at);
  }
}

/** The arguments as JSON, as `jobs enqueue` takes them. */
export function argumentsText({ args, unreadable }: JobJson): string {
  if (args === null) return unreadable === null ? REDACTED : UNREADABLE;
  return escapeControls(JSON.stringify(args));
}

/** The first line of the job's latest error. */
function errorText({ errors, reason, unreadable }: JobJson): string {
  const [first = ''] = (errors[0]?.message ?? reason ?? unreadable ?? NONE).split('\n');
  return escapeControls(first);
}

/** `5 min ago`, for a column of a table. */
export function shortMoment(iso: string | null): string {
  return iso === null ? NONE : fromNow(new Date(iso));
}

/** `2026-11-25 12:00:01 UTC (5 min ago)`. */
export function fullMoment(iso: string): string {
  return `${iso.slice(0, 19).replace('T', ' ')} UTC (${fromNow(new Date(iso))})`;
}
