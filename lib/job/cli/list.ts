import { countText, pluralize } from '../../support/counted';
import { fromNow } from '../../support/duration';
import { escapeControls } from '../../support/terminal-text';
import { table } from '../../support/text-table';
import { type JobJson, jobJson } from '../admin/job-json';
import type { SetName } from '../sets/entry';
import type { JobFilter, PageRequest } from '../sets/query';
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

/** The lists: the set that each one shows, its columns, and what is said of an empty one. */
const LISTS = {
  retry: {
    set: 'retry',
    columns: ['id', 'class', 'queue', 'failed', 'next', 'arguments', 'error'],
    none: 'No job waits for a retry.',
  },
  scheduled: { set: 'scheduled', columns: ['id', 'class', 'queue', 'due', 'arguments'], none: 'No job is scheduled.' },
  dead: {
    set: 'dead',
    columns: ['id', 'class', 'queue', 'failed', 'died', 'arguments', 'error'],
    none: 'No job is dead.',
  },
  finished: {
    set: 'finished',
    columns: ['id', 'class', 'queue', 'failed', 'finished', 'arguments'],
    none: 'No finished job is kept.',
  },
  waiting: { set: 'waiting', columns: ['id', 'class', 'queue', 'failed', 'since', 'arguments'], none: 'No job waits.' },
  busy: { set: 'active', columns: ['id', 'class', 'queue', 'failed', 'started', 'arguments'], none: 'No job runs.' },
} as const satisfies Readonly<Record<string, { set: SetName; columns: readonly ColumnName[]; none: string }>>;

type ListName = keyof typeof LISTS;
const NAMES: readonly string[] = Object.keys(LISTS);
const LIMIT = 25;

const partialText = (read: number) =>
  `\nThere are more than ${countText(read)} jobs, and only that many were looked at: select by --class, --queue or --tag.`;

export const LIST: JobCommand = {
  name: 'list',
  operands: [{ name: 'SET' }],
  options: [...FILTERS, 'limit', 'page'],
  help: 'jobs of a set: retry, scheduled, dead, finished, waiting or busy; with filters, page by page',
  prepare: ({ operands: [name = ''], options }) => {
    if (!NAMES.includes(name)) {
      throw wrongUsage(`There is no set of jobs "${name}".${suggestion(name, NAMES)} There are: ${NAMES.join(', ')}.`);
    }
    const request = readRequest(options);
    return (context) => list(context, name as ListName, request);
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

async function list(context: CommandContext, name: ListName, request: ListRequest): Promise<Answer> {
  const { admin, terminal } = context;
  const { set, columns } = LISTS[name];
  await checkQueues(context, filteredQueues(request));
  const { entries, total = 0, complete, isPartial, mostRead } = await admin.set(set).page(request);
  if (total === 0) checkClass(context, request.class);
  const rules = redactionRules(context);
  const jobs = entries.map((entry) => jobJson(entry, rules));
  const isPrioritised = jobs.some(({ priority }) => priority !== 0);
  const shown = columns.flatMap((column): ColumnName[] =>
    column === 'queue' && isPrioritised ? [column, 'priority'] : [column],
  );
  const rows = [shown, ...jobs.map((job) => shown.map((column) => cell(job, column)))];
  const lines = jobs.length > 0 ? [...table(rows, terminal.columns), ''] : [];
  return {
    json: { set: name, total, complete, jobs },
    text: `${[...lines, summary(name, request, jobs.length, { total, complete })].join('\n')}${isPartial ? partialText(mostRead) : ''}\n`,
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
function summary(name: ListName, request: ListRequest, shown: number, extent: Extent): string {
  const { offset, limit } = request;
  const { total, complete } = extent;
  if (total === 0)
    return FILTERS.some((filter) => request[filter] !== undefined) ? `No ${name} job matches.` : LISTS[name].none;
  const all = `${complete ? '' : 'more than '}${pluralize(total, 'job')}`;
  if (shown === 0) return `Nothing on this page, of ${all}.`;
  if (shown === total) return all;
  const place = `${countText(offset + 1)}–${countText(offset + shown)} of ${all}`;
  const isLast = shown < limit || (complete && offset + shown >= total);
  return isLast ? place : `${place}; go on with --page ${offset / limit + 2}`;
}

const REDACTED = '(redacted)';
const ENCRYPTED = '(encrypted)';
const UNREADABLE = '(unreadable)';
const NONE = '–';
type ColumnName =
  | 'id'
  | 'class'
  | 'queue'
  | 'priority'
  | 'failed'
  | 'arguments'
  | 'error'
  | 'next'
  | 'died'
  | 'finished'
  | 'since'
  | 'due'
  | 'started';

function cell(job: JobJson, name: ColumnName): string {
  switch (name) {
    case 'id':
      return escapeControls(job.id);
    case 'class':
      return escapeControls(job.class ?? NONE);
    case 'queue':
      return job.queue;
    case 'priority':
      return String(job.priority);
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
export function argumentsText({ args, args_redacted: why, unreadable }: JobJson): string {
  if (why === 'encrypted') return ENCRYPTED;
  if (args === null) return unreadable === null ? REDACTED : UNREADABLE;
  return escapeControls(JSON.stringify(args));
}

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
