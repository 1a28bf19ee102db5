import type { JsonValue } from '../core/execution-context';
import type { CarriedContext } from '../job/definition/job-class';
import { deserializeArguments } from '../job/record/argument-decoder';
import type { ArgumentCodec } from '../job/record/arguments';
import { parsePayload } from '../job/record/payload';
import type { JobEnd, LoggedJob } from './job-log';

/** A job as returned by assertions and `enqueuedJobs`. */
export interface TestJob {
  /** The job's UUID, as `performLater` returned it. */
  readonly id: string;
  /** The job's registered name. */
  readonly class: string;
  /** The arguments that `perform` gets; in serialized form if one is a model, since that would have to be loaded. */
  readonly args: readonly unknown[];
  /** The queue on which it is enqueued. */
  readonly queue: string;
  /** Which of the jobs of its queue run first: the smallest. 0 is the default. */
  readonly priority: number;
  /** The time before which the job does not run; undefined: it may run at once. */
  readonly at: Date | undefined;
  /** The tags of its class, and those with which it was enqueued. */
  readonly tags: readonly string[];
  /** Context of the enqueuing code. */
  readonly context: CarriedContext;
  /** Number of runs so far. */
  readonly runs: number;
}

/** A finished job as returned by assertions and `performedJobs`. */
export interface PerformedTestJob extends TestJob {
  /**
   * discarded: it failed with an error that its class discards. dead: it failed for the last time, or for good. failed:
   * it failed under `useInlineJobs`, which does not retry. cancelled: it failed after it was cancelled. expired: it had not
   * begun within its `expiresIn`.
   */
  readonly outcome: JobEnd;
  /** Error of the last run. */
  readonly error: Error | undefined;
}

export function toTestJob(entry: LoggedJob, codec: ArgumentCodec): TestJob {
  const { request, dueAt, runs } = entry;
  const { attrs, tags = [] } = parsePayload(entry.payload);
  const at = request.runAt || runs > 0 ? new Date(dueAt) : undefined;
  const { id, name, queue, priority = 0 } = request;
  return { id, class: name, args: readable(entry.args, codec), queue, priority, at, tags, context: attrs, runs };
}

export function toPerformedJob(entry: LoggedJob, codec: ArgumentCodec): PerformedTestJob {
  return { ...toTestJob(entry, codec), at: undefined, outcome: entry.state as JobEnd, error: entry.error };
}

/** Deserializes arguments without a query, so that inspecting jobs stays synchronous. */
export function readable(args: readonly JsonValue[], codec: ArgumentCodec): readonly unknown[] {
  if (JSON.stringify(args).includes('"$model"')) return args;
  try {
    const read = deserializeArguments(args, codec);
    if (!(read instanceof Promise)) return read;
    read.catch(() => undefined);
  } catch {
    // Arguments that cannot be deserialized are shown in serialized form.
  }
  return args;
}
