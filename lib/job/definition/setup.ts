import { checkSetup, isArrayOf, isFunction, type SetupParts, UserError } from '../../core/errors';
import type { JsonValue } from '../../core/execution-context';
import { isObject } from '../../support/type-guards';
import type { EnqueuedJob, EnqueueRequest, JobContext } from './job-class';

/** Runs around every enqueue. Calls `next` once, with the request or a changed copy; otherwise nothing is enqueued. */
export type EnqueueMiddleware = (
  request: EnqueueRequest,
  next: (request: EnqueueRequest) => Promise<EnqueuedJob>,
) => Promise<EnqueuedJob>;

/** One run of a job, as middleware sees it. */
export interface JobRun extends JobContext {
  /** The arguments as `perform` gets them. */
  readonly args: readonly unknown[];
}

/** Runs around every run of a job. It must await `next`; an error that it throws is the run's failure. */
export type PerformMiddleware = (run: JobRun, next: () => Promise<void>) => Promise<void>;

/** An error with its circumstances, for an error tracker. */
export interface ErrorReport {
  /** retrying, dead, discarded: the fate of a job that failed. The others name the part that failed without a job. */
  readonly kind: 'retrying' | 'dead' | 'discarded' | 'queue' | 'redis' | 'postgres' | 'cron' | 'process';
  /** The error as it was thrown. */
  readonly error: Error;
  /** Data of the job; absent if the error concerns no single job. */
  readonly class?: string;
  /** The job's UUID. */
  readonly id?: string;
  /** The queue of the job. */
  readonly queue?: string;
  /** The run that failed, from 1. */
  readonly attempt?: number;
  /** The redacted arguments: the app's filters have been applied. */
  readonly args?: readonly JsonValue[];
  /** Id of the request that enqueued the job, if it was one. */
  readonly requestId?: string;
  /** The activity that failed, if it was no job. */
  readonly during?: string;
}

/** Converts instances of a class of the app to JSON and back. */
export interface ArgumentSerializer<T = unknown> {
  /** Stored in each job, so it must not change while jobs are enqueued. */
  readonly name: string;
  /** Decides whether this serializer takes a value. The first one of the setup that does is used. */
  matches(value: unknown): value is T;
  /** Makes JSON of a value. An error that it throws reaches the caller of `performLater`. */
  serialize(value: T): JsonValue;
  /** Makes the value again, before the job is performed. If it rejects, the run has failed. */
  deserialize(json: JsonValue): T | Promise<T>;
}

/**
 * The app's additions to the job layer: the default export of `defineApp({ jobSetup: () => import('./job-setup') })`.
 */
export interface JobSetup {
  /** The first one is the outermost. */
  readonly enqueueMiddleware?: readonly EnqueueMiddleware[];
  /** The first one is the outermost. */
  readonly performMiddleware?: readonly PerformMiddleware[];
  /** Called for every failure. An error that it throws is logged, and has no other effect. */
  readonly reportError?: (report: ErrorReport) => unknown;
  /**
   * Called in a job processor when it begins to fetch no more jobs: told so by an operator, or because it stops. A stop waits for
   * it as long as for running jobs. An error that it throws is reported, and has no other effect. So it is with the next two.
   */
  readonly onQuiet?: () => unknown;
  /** Called when it fetches jobs again. */
  readonly onResume?: () => unknown;
  /** Called every ten seconds while it runs, after the last call has ended. `running`: the number of its running jobs. */
  readonly onHeartbeat?: (processor: { readonly running: number; readonly quiet: boolean }) => unknown;
  /** For arguments of the app's own classes; declare them in `SerializableTypes` as well. */
  readonly serializers?: readonly ArgumentSerializer[];
  /**
   * Keys whose values are redacted in logs, reports and the operators' pages, besides the default ones (password,
   * token, secret …).
   */
  readonly filterArguments?: readonly (string | RegExp)[];
}

const PARTS: SetupParts<JobSetup> = {
  enqueueMiddleware: ['an array of functions', isArrayOf(isFunction)],
  performMiddleware: ['an array of functions', isArrayOf(isFunction)],
  reportError: ['a function', isFunction],
  onQuiet: ['a function', isFunction],
  onResume: ['a function', isFunction],
  onHeartbeat: ['a function', isFunction],
  serializers: ['an array of objects with name, matches, serialize and deserialize', isArrayOf(isSerializer)],
  filterArguments: ['an array of texts and regular expressions', isArrayOf(isFilter)],
};

/**
 * @param where the origin of the setup, named in errors.
 * @throws UserError that names the invalid part and what it should be.
 */
export function checkJobSetup(value: unknown, where: string): JobSetup {
  const setup = checkSetup<JobSetup>(value, where, 'a job setup', PARTS);
  const names = (setup.serializers ?? []).map((serializer) => serializer.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new UserError(`${where}: two serializers are named ${twice}; stored arguments are told apart by the name`);
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
