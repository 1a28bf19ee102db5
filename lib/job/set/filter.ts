import { QUEUE_NAME } from '../redis/keys';
import { InvalidRequestError } from './invalid-request';
import { jsonNeedles, plainNeedles, toNeedle } from './needle';

/** Which jobs of a set; all conditions that are given must be met. */
export interface JobFilter {
  /** One queue or several. Default: all that are known. */
  readonly queue?: string | readonly string[] | undefined;
  /** The job name, exactly. */
  readonly class?: string | undefined;
  /** One of the job's tags, exactly. */
  readonly tag?: string | undefined;
  /** Part of the message of one of its errors, or of the reason of its death; upper and lower case are one. */
  readonly error?: string | undefined;
  /** Part of its id, class, arguments, tags, request id, attributes or errors; upper and lower case are one. */
  readonly text?: string | undefined;
  /** Its time (of death, or of its next run) is this or later; or this or earlier. Of a queue's waiting jobs neither counts. */
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
  /** Its latest run that is known to have failed did so then or later. */
  readonly failedSince?: Date | undefined;
}

const LONGEST = 1000;
const CONDITIONS = ['class', 'tag', 'error', 'text'] as const;

/** A filter whose conditions can be trusted; those that were empty are gone. */
export interface CheckedFilter {
  readonly queues: readonly string[] | undefined;
  readonly class: string | undefined;
  readonly tag: string | undefined;
  readonly error: string | undefined;
  readonly text: string | undefined;
  /** ms since 1970. */
  readonly since: number | undefined;
  readonly until: number | undefined;
  readonly failedSince: number | undefined;
}

/** @throws InvalidRequestError. */
export function checkFilter(filter: JobFilter): CheckedFilter {
  const { queue } = filter;
  const queues = queue === undefined || queue === '' ? undefined : [queue].flat();
  for (const name of queues ?? []) checkQueue(name);
  const checked: Partial<Record<(typeof CONDITIONS)[number], string>> = {};
  for (const name of CONDITIONS) {
    const given: unknown = filter[name];
    if (given === undefined || given === '') continue;
    if (typeof given !== 'string' || given.length > LONGEST || given.includes('\0')) {
      const shown = JSON.stringify(given)?.slice(0, 100);
      throw new InvalidRequestError(`${name} is ${shown}; give a text of at most ${LONGEST} characters`);
    }
    checked[name] = given;
  }
  const { class: className, tag, error, text } = checked;
  const [since, until] = [checkTime('since', filter.since), checkTime('until', filter.until)];
  const failedSince = checkTime('failedSince', filter.failedSince);
  return { queues, class: className, tag, error, text, since, until, failedSince };
}

function checkTime(name: string, time: Date | undefined): number | undefined {
  if (time === undefined) return undefined;
  const ms = time instanceof Date ? time.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidRequestError(`${name} is ${String(time)}; give a valid date`);
  return ms;
}

/** @throws InvalidRequestError. */
export function checkQueue(name: string): void {
  if (typeof name !== 'string' || !QUEUE_NAME.test(name)) {
    throw new InvalidRequestError(`the queue is ${JSON.stringify(name)}; use letters, digits, - and _`);
  }
}

/** Whether records must be looked at. */
export function isFiltering(filter: CheckedFilter): boolean {
  return filter.failedSince !== undefined || CONDITIONS.some((name) => filter[name] !== undefined);
}

export interface Kinds {
  /** Only jobs that failed and will be retried, or only others. */
  readonly retrying?: boolean | undefined;
  /** true: of a job whose id is a UUID the record is not looked at; it is one of ours, so it has failed. */
  readonly trustIds?: boolean | undefined;
}

/** The filter as filter-lua.ts reads it. */
export function luaFilter(filter: CheckedFilter, { retrying, trustIds }: Kinds = {}): string {
  const { class: name, tag, error, text, failedSince } = filter;
  return JSON.stringify({
    retrying,
    trustIds,
    failedSince,
    ...(name !== undefined && { class: JSON.stringify(name).slice(1, -1), plainClass: name }),
    ...(tag !== undefined && { tag, tagText: JSON.stringify(tag) }),
    ...(error !== undefined && { error: jsonNeedles(error).map(toNeedle), plainError: plainNeedles(error) }),
    ...(text !== undefined && { text: jsonNeedles(text).map(toNeedle), plainText: plainNeedles(text) }),
    gist: gistFilter(filter),
  });
}

/** What stands between the parts of a gist (../redis/gist-lua.ts). */
const GIST_MARKS = ['\0', '\x01', '\x02'];

/** undefined: records must be looked at. */
function gistFilter({ class: name, tag, error, text, failedSince }: CheckedFilter): object | undefined {
  if (failedSince !== undefined) return undefined;
  if ([name, tag, error, text].some((part) => GIST_MARKS.some((mark) => part?.includes(mark)))) return undefined;
  const plain = plainNeedles(text ?? '');
  const escaped = jsonNeedles(text ?? '').filter((needle) => !plain.includes(needle));
  return {
    ...(name !== undefined && { class: `\x01${JSON.stringify(name).slice(1, -1)}\0` }),
    ...(tag !== undefined && { tag: `\x02${tag}\x02` }),
    ...(error !== undefined && { error: plainNeedles(error).map(toNeedle) }),
    ...(text !== undefined && { text: plain.map(toNeedle), escaped: escaped.map(toNeedle) }),
  };
}
