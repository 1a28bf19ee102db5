import type { CarriedContext, EnqueueRequest, UniqueClaim } from '../enqueue/request';
import type { JsonValue } from './json';

/** The version this code writes; a higher one was written by a newer deploy. */
const VERSION = 1;

/** The road a job took: decides what its end leaves behind (fused-script.ts). */
export type Via = 'outbox' | 'redis' | 'fallback';

/** What travels, as `data` of bee-queue's record and as `payload` of an outbox row. */
export interface Payload {
  readonly v: number;
  readonly class: string;
  readonly args: readonly JsonValue[];
  readonly via?: Via;
  /** The context of the code that enqueued, carried into the job's own. */
  readonly attrs: CarriedContext;
  readonly tags?: readonly string[];
  /** The job holds a claim, to be released (outbox/unique-claim.ts): before its run, or at its end. */
  readonly unique?: UniqueClaim['until'];
  /** Milliseconds since 1970. */
  readonly enqueuedAt: number;
}

/** A record whose `data` is no payload: it would fail the same way for ever. */
export class UnreadableJobError extends Error {
  override readonly name = 'UnreadableJobError';
}

export function createPayload(
  { name, args, tags, context, unique }: Pick<EnqueueRequest, 'name' | 'args' | 'tags' | 'context' | 'unique'>,
  via: Via,
): Payload {
  return {
    v: VERSION,
    class: name,
    args,
    via,
    attrs: context,
    ...(tags.length > 0 && { tags }),
    ...(unique && { unique: unique.until }),
    enqueuedAt: Date.now(),
  };
}

/**
 * Takes what a plain bee-queue producer may have written, too: only `class` and `args` are needed.
 * @throws UnreadableJobError; Error when a newer version wrote it.
 */
export function readPayload(data: unknown): Payload {
  const given = (data ?? {}) as Partial<Payload>;
  if (typeof given.class !== 'string') throw new UnreadableJobError('the record names no job class');
  if (given.args !== undefined && !Array.isArray(given.args)) {
    throw new UnreadableJobError(`the arguments of ${given.class} are no array`);
  }
  const v = given.v ?? VERSION;
  if (v > VERSION)
    throw new Error(`${given.class} was enqueued in format ${v} by a newer deploy; this one knows ${VERSION}`);
  return { attrs: {}, args: [], enqueuedAt: 0, ...given, v, class: given.class };
}
