import { printable } from '../../support/printable';
import { fit } from '../../support/text-table';
import type { ShownJob } from './job-view';
import { shortMoment } from './time-text';

const HIDDEN = '(hidden)';
const UNREADABLE = '(unreadable)';
const NONE = '–';
/** Arguments that stand before another column are cut on a terminal: to a quarter of it, and no shorter than this. */
const SOME = 24;

export type ColumnName =
  | 'id'
  | 'class'
  | 'queue'
  | 'failed'
  | 'next'
  | 'died'
  | 'since'
  | 'due'
  | 'arguments'
  | 'error';

/** @param columns of the terminal; undefined where it is none. */
export function jobRows(
  jobs: readonly ShownJob[],
  names: readonly ColumnName[],
  columns: number | undefined,
): string[][] {
  return [[...names], ...jobs.map((job) => names.map((name) => cell(job, name, names, columns)))];
}

function cell(job: ShownJob, name: ColumnName, names: readonly ColumnName[], columns: number | undefined): string {
  switch (name) {
    case 'id':
      return printable(job.id);
    case 'class':
      return printable(job.class ?? NONE);
    case 'queue':
      return job.queue;
    case 'failed':
      return String(job.attempts);
    case 'arguments': {
      const text = argumentsText(job);
      return columns === undefined || names.at(-1) === name ? text : fit(text, Math.max(SOME, Math.floor(columns / 4)));
    }
    case 'error':
      return errorText(job);
    default:
      return shortMoment(job.at);
  }
}

/** As `jobs enqueue` takes them. */
export function argumentsText({ args, unreadable }: ShownJob): string {
  if (args === null) return unreadable === null ? HIDDEN : UNREADABLE;
  return printable(JSON.stringify(args));
}

/** The first line of its latest error. */
function errorText({ errors, reason, unreadable }: ShownJob): string {
  const [first = ''] = (errors[0]?.message ?? reason ?? unreadable ?? NONE).split('\n');
  return printable(first);
}
