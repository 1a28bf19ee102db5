import type { Knex } from 'knex';
import { EXIT, UserError } from '../../core/errors';
import type { Caller, Events } from '../../core/events';
import { isUuid } from '../../support/uuid';
import { QUEUE_NAME } from '../definition/options';
import type { ListProcesses } from '../processes/process-list';
import type { Keyring } from '../record/encryption';
import type { JobEntry } from './entry';

/** Selects jobs of a set; a job must meet all conditions that are given. */
export interface JobFilter {
  /** One queue or several. Default: all known queues. */
  readonly queue?: string | readonly string[] | undefined;
  /** The job name, exactly. */
  readonly class?: string | undefined;
  /** One of the job's tags, exactly. */
  readonly tag?: string | undefined;
  /** The id of the batch that it is a job of. */
  readonly batch?: string | undefined;
  /** Part of the message of one of its errors, or of the reason why it died; case does not matter. */
  readonly error?: string | undefined;
  /** Part of its id, class, arguments, tags, request id, attributes or errors; case does not matter. */
  readonly text?: string | undefined;
  /** The earliest time of its end, or of its next run, included. Ignored for waiting jobs. */
  readonly since?: Date | undefined;
  /** The latest one, included. Ignored for waiting jobs. */
  readonly until?: Date | undefined;
}

const MAX_LENGTH = 1000;
const CONDITIONS = ['class', 'tag', 'error', 'text'] as const;

/** A filter whose conditions were validated; empty ones were removed. */
export interface CheckedFilter {
  readonly queues: readonly string[] | undefined;
  readonly class: string | undefined;
  readonly tag: string | undefined;
  readonly batch: string | undefined;
  readonly error: string | undefined;
  readonly text: string | undefined;
  /** ms since 1970. */
  readonly since: number | undefined;
  readonly until: number | undefined;
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
    if (typeof given !== 'string' || given.length > MAX_LENGTH || given.includes('\0')) {
      const shown = JSON.stringify(given)?.slice(0, 100);
      throw new InvalidRequestError(`${name} is ${shown}; give a text of at most ${MAX_LENGTH} characters`);
    }
    checked[name] = given;
  }
  const { class: className, tag, error, text } = checked;
  const { batch } = filter;
  if (batch !== undefined && !isUuid(batch))
    throw new InvalidRequestError(`the batch is ${JSON.stringify(batch).slice(0, 100)}; give the id of a batch`);
  const [since, until] = [checkTime('since', filter.since), checkTime('until', filter.until)];
  return { queues, class: className, tag, batch, error, text, since, until };
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

/** A job by its id, and perhaps the queue that it must be in. */
export type JobRef =
  | string
  | {
      /** The id of the job. */
      readonly id: string;
      /** The queue that it must be in; undefined: whatever it is. */
      readonly queue?: string | undefined;
    };

export interface CheckedRef {
  readonly id: string;
  readonly queue: string | undefined;
}

/** Every id of a job matches, and so does what an operator takes for one, and is then told that there is no such job. */
const ID = /^[!-~]{1,100}$/;

/** @throws InvalidRequestError for an invalid id. */
export function checkRef(ref: JobRef): CheckedRef {
  // Callers may pass on input from outside, whatever its type.
  const { id, queue = undefined } = typeof ref === 'object' && ref !== null ? ref : { id: ref };
  if (typeof id !== 'string' || !ID.test(id)) {
    const shown = JSON.stringify(id)?.slice(0, 100);
    throw new InvalidRequestError(`the job id is ${shown}; give one such as 0b0e7c4e-4a3f-4c7a-9d53-0f6f5d1c8a11`);
  }
  if (queue !== undefined) checkQueue(queue);
  return { id, queue };
}

/** The request to a set is invalid: an impossible id, page, time or filter. */
export class InvalidRequestError extends UserError {
  override readonly name = 'InvalidRequestError';

  constructor(message: string) {
    super(message, EXIT.usage);
  }
}

/** The jobs to move: those with these ids, or all that match the filter; `{ filter: {} }` is the whole set. */
export type Selection = { readonly ids: readonly JobRef[] } | { readonly filter: JobFilter };

/** How far a change of many jobs goes. */
export interface BulkOptions {
  /** Maximum number of jobs to move. Default: no limit. */
  readonly limit?: number | undefined;
  /** Aborting it ends the move between two chunks. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each chunk with the number of jobs moved so far. */
  readonly onProgress?: ((moved: number) => void) | undefined;
}

/** What a change of many jobs has done. */
export interface BulkResult {
  /** Jobs that were changed. */
  readonly moved: number;
  /** false: the move ended at its limit or by its signal. The same call continues it. */
  readonly complete: boolean;
}

/** Jobs per chunk. */
const CHUNK = 200;

/** The progress of one bulk move. */
export class BulkRun {
  moved = 0;
  readonly startedAt = Date.now();
  private readonly limit: number;

  /** @throws InvalidRequestError for an impossible limit. */
  constructor(private readonly options: BulkOptions) {
    const { limit = Number.POSITIVE_INFINITY } = options;
    if (limit !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(limit) || limit < 0)) {
      throw new InvalidRequestError(`limit is ${limit}; give a whole number from 0, or none`);
    }
    this.limit = limit;
  }

  /** The number of jobs that the next chunk may move; 0 ends the move. */
  get chunk(): number {
    return this.options.signal?.aborted ? 0 : Math.min(CHUNK, this.limit - this.moved);
  }

  add(moved: number): void {
    this.moved += moved;
    this.options.onProgress?.(this.moved);
  }
}

/** The events by which an operator's actions are reported. */
export interface Auditor {
  readonly events: Events;
  readonly via: Caller;
}

/** The stores and queues that sets work on. */
export interface SetSources extends Auditor {
  /** Lists the job processors; undefined: there is no Redis. */
  readonly processes?: ListProcesses | undefined;
  readonly knex: Knex;
  /** Encrypts the arguments of copies. */
  readonly keys?: Keyring | undefined;
  /** All known queues. */
  readonly queues: readonly string[];
}

/** The actions of operators on jobs. */
export type JobAction = 'retry' | 'promote' | 'rerun' | 'kill' | 'delete';

/** The jobs of a page. */
export interface PageRequest extends JobFilter {
  /** Matching jobs to skip. Default 0. */
  readonly offset?: number | undefined;
  /** Maximum number of entries, up to 500. Default 25. */
  readonly limit?: number | undefined;
  /** false omits `total`, which saves a scan of the whole set. Default true. */
  readonly count?: boolean | undefined;
}

/** A page of a set. */
export interface JobPage {
  /** Its jobs, in the order of the set. */
  readonly entries: readonly JobEntry[];
  /** Number of matching jobs; undefined when `count` was false. */
  readonly total: number | undefined;
  /** false: more jobs match than `total` says, which counts 10,000 at most, or may match (`isPartial`). */
  readonly complete: boolean;
  /** true: only `mostRead` jobs were searched; there are more. */
  readonly isPartial: boolean;
  /** Jobs that a search like this reads at most. */
  readonly mostRead: number;
}

export interface PageBounds {
  readonly offset: number;
  readonly limit: number;
  readonly count: boolean;
}

const LIMIT = 25;
const MAX_LIMIT = 500;

/** @throws InvalidRequestError. */
export function checkBounds({ offset = 0, limit = LIMIT, count = true }: PageRequest): PageBounds {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new InvalidRequestError(`offset is ${offset}; give a whole number from 0`);
  }
  if (!Number.isSafeInteger(limit) || limit < 0 || limit > MAX_LIMIT) {
    throw new InvalidRequestError(`limit is ${limit}; give a whole number from 0 to ${MAX_LIMIT}`);
  }
  return { offset, limit, count };
}

export function isRef(ref: Exclude<JobRef, string>): boolean {
  try {
    checkRef(ref);
    return true;
  } catch {
    return false;
  }
}
