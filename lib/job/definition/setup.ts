import { checkSetup, isArrayOf, isFunction, isObject, type SetupParts, UserError } from '../../core/errors';
import type { JsonValue } from '../../core/execution-context';
import type { EnqueuedJob, EnqueueRequest, JobContext } from './job-class';

/** Around every enqueue. Calls `next` once, with the request or a changed copy of it; not calling it enqueues nothing. */
export type EnqueueMiddleware = (
  request: EnqueueRequest,
  next: (request: EnqueueRequest) => Promise<EnqueuedJob>,
) => Promise<EnqueuedJob>;

/** One run of a job, as middleware sees it. */
export interface JobRun extends JobContext {
  /** As `perform` gets them. */
  readonly args: readonly unknown[];
}

/** Around every run. Must await `next`; what it throws is the run's failure. */
export type PerformMiddleware = (run: JobRun, next: () => Promise<void>) => Promise<void>;

/** What went wrong, for an error tracker. */
export interface ErrorReport {
  readonly kind: 'retrying' | 'dead' | 'discarded' | 'relay' | 'redis' | 'postgres' | 'cron' | 'process';
  readonly error: Error;
  /** Of the job; absent where no single job is meant. */
  readonly class?: string;
  readonly id?: string;
  readonly queue?: string;
  readonly attempt?: number;
  /** Filtered: what the app's filters name is hidden. */
  readonly args?: readonly JsonValue[];
  readonly requestId?: string;
  /** What was being done, where no job was. */
  readonly during?: string;
}

/** Turns instances of a class of the app's into JSON and back. */
export interface ArgumentSerializer<T = unknown> {
  /** Travels; never to be changed while jobs are on their way. */
  readonly name: string;
  matches(value: unknown): value is T;
  serialize(value: T): JsonValue;
  deserialize(json: JsonValue): T | Promise<T>;
}

/** What an app adds to its job layer: the default export of `defineApp({ jobSetup: () => import('./job-setup') })`. */
export interface JobSetup {
  /** Outermost first. */
  readonly enqueueMiddleware?: readonly EnqueueMiddleware[];
  /** Outermost first. */
  readonly performMiddleware?: readonly PerformMiddleware[];
  /** Told of every failure. One that throws or rejects is itself logged, and disturbs nobody. */
  readonly reportError?: (report: ErrorReport) => unknown;
  readonly serializers?: readonly ArgumentSerializer[];
  /** Keys whose values logs, reports and the operator's pages hide, besides the usual ones (password, token, secret …). */
  readonly filterArguments?: readonly (string | RegExp)[];
}

const PARTS: SetupParts<JobSetup> = {
  enqueueMiddleware: ['an array of functions', isArrayOf(isFunction)],
  performMiddleware: ['an array of functions', isArrayOf(isFunction)],
  reportError: ['a function', isFunction],
  serializers: ['an array of objects with name, matches, serialize and deserialize', isArrayOf(isSerializer)],
  filterArguments: ['an array of texts and regular expressions', isArrayOf(isFilter)],
};

/**
 * @param where the setup comes from, named in errors.
 * @throws UserError that names the part, and says what it should be.
 */
export function checkJobSetup(value: unknown, where: string): JobSetup {
  const setup = checkSetup<JobSetup>(value, where, 'a job setup', PARTS);
  const names = (setup.serializers ?? []).map((serializer) => serializer.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new UserError(`${where}: two serializers are named ${twice}; what travels is told by it`);
  return setup;
}

function isFilter(value: unknown): boolean {
  return typeof value === 'string' || value instanceof RegExp;
}

function isSerializer(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { name, matches, serialize, deserialize } = value as Readonly<Record<string, unknown>>;
  return typeof name === 'string' && name !== '' && [matches, serialize, deserialize].every(isFunction);
}
