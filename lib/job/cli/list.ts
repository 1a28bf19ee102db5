import { fromNow } from '../../support/duration';
import { countText, escapeControls, pluralize } from '../../support/text';
import { table } from '../../support/text-table';
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
  options: [...FILTERS, 'limit', 'page'],
  help: 'jobs of a set: retry, scheduled, dead, waiting or busy; with filters, page by page',
  prepare: ({ operands: [set = ''], options }) => {
    if (!SETS.includes(set)) {
      throw wrongUsage(`There is no set of jobs "${set}".${suggestion(set, SETS)} There are: ${SETS.join(', ')}.`);
    }
    const request = readRequest(options);
    if (set !== BUSY) return (context) => listSet(context, set as StoredSet, request);
    if (options.tag ?? options.error ?? options.text)
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
  return { ...readFilter(options), limit, offset: (page - 1) * limit };
}

async function listSet(context: CommandContext, set: StoredSet, request: ListRequest): Promise<Answer> {
  const { admin, terminal } = context;
  await checkQueues(context, filteredQueues(request));
  const page = await admin.set(set).page(request);
  const { entries, total = 0, complete, isPartial } = page;
  if (total === 0) checkClass(context, request.class);
  const rules = redactionRules(context);
  const jobs = entries.map((entry) => jobJson(entry, rules));
  const rows = [[...COLUMNS[set]], ...jobs.map((job) => COLUMNS[set].map((name) => cell(job, name)))];
  const lines = jobs.length > 0 ? [...table(rows, terminal.columns), ''] : [];
  return {
    json: { set, total, complete, jobs },
    text: `${[...lines, summary(set, request, jobs.length, { total, complete })].join('\n')}${isPartial ? PARTIAL : ''}\n`,
  };
}

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
  return {
    json: { set: BUSY, total: all.length, complete: true, jobs },
    text: `${[...lines, summary(BUSY, request, jobs.length, { total: all.length, complete: true })].join('\n')}\n`,
  };
}

function filteredQueues({ queue }: JobFilter): readonly string[] | undefined {
  return queue === undefined ? undefined : [queue].flat();
}

interface Extent {
  readonly total: number;
  readonly complete: boolean;
}

/** For example `26–50 of 1,204 jobs; go on with --page 3`. */
function summary(set: string, request: ListRequest, shown: number, extent: Extent): string {
  const { offset, limit } = request;
  const { total, complete } = extent;
  if (total === 0)
    return FILTERS.some((name) => request[name] !== undefined) ? `No ${set} job matches.` : `${NO_JOBS[set]}`;
  const all = `${complete ? '' : 'more than '}${pluralize(total, 'job')}`;
  if (shown === 0) return `Nothing on this page, of ${all}.`;
  if (shown === total) return all;
  const place = `${countText(offset + 1)}–${countText(offset + shown)} of ${all}`;
  const isLast = shown < limit || (complete && offset + shown >= total);
  return isLast ? place : `${place}; go on with --page ${offset / limit + 2}`;
}

const REDACTED = '(redacted)';
const UNREADABLE = '(unreadable)';
const NONE = '–';
type ColumnName = 'id' | 'class' | 'queue' | 'failed' | 'next' | 'died' | 'since' | 'due' | 'arguments' | 'error';

function cell(job: JobJson, name: ColumnName): string {
  switch (name) {
    case 'id':
      return escapeControls(job.id);
    case 'class':
      return escapeControls(job.class ?? NONE);
    case 'queue':
      return job.queue;
    case 'failed':
      return String(job.attempts);
    case 'arguments':
      return argumentsText(job);
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
