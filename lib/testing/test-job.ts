import { type ArgumentCodec, deserializeArguments } from '../job/enqueue/arguments';
import type { CarriedContext } from '../job/enqueue/request';
import type { JsonValue } from '../job/record/json';
import { readPayload } from '../job/record/payload';
import { readRecord } from '../job/record/record';
import type { JobEnd, LedgerEntry } from './ledger';

/** A job as a test sees it. */
export interface TestJob {
  readonly id: string;
  /** The name that travels. */
  readonly class: string;
  /** As `perform` gets them; as they travel where one would have to be loaded, as a model has. */
  readonly args: readonly unknown[];
  readonly queue: string;
  /** Not before; undefined: at once. */
  readonly at: Date | undefined;
  readonly tags: readonly string[];
  /** Of the code that enqueued it. */
  readonly context: CarriedContext;
  /** How often it has run. */
  readonly runs: number;
}

export interface PerformedTestJob extends TestJob {
  /**
   * discarded: it failed, and its class has such errors dropped. dead: it failed for the last time, or for good.
   * failed: with `useInlineJobs` only, which retries nothing.
   */
  readonly outcome: JobEnd;
  /** What its last run failed with. */
  readonly error: Error | undefined;
}

export function testJobOf(entry: LedgerEntry, codec: ArgumentCodec): TestJob {
  const { request, dueAt, runs } = entry;
  const { args, attrs, tags = [] } = readPayload(readRecord(entry.record).data);
  const at = request.runAt || runs > 0 ? new Date(dueAt) : undefined;
  const { id, name, queue } = request;
  return { id, class: name, args: readable(args, codec), queue, at, tags, context: attrs, runs };
}

export function performedJobOf(entry: LedgerEntry, codec: ArgumentCodec): PerformedTestJob {
  return { ...testJobOf(entry, codec), at: undefined, outcome: entry.state as JobEnd, error: entry.error };
}

/** Never asks the database: whoever looks at jobs does not wait. */
export function readable(args: readonly JsonValue[], codec: ArgumentCodec): readonly unknown[] {
  if (JSON.stringify(args).includes('"$model"')) return args;
  try {
    const read = deserializeArguments(args, codec);
    if (!(read instanceof Promise)) return read;
    read.catch(() => undefined);
  } catch {
    // What cannot be read is shown as it is.
  }
  return args;
}
