import type { CarriedContext, EnqueueRequest, UniqueClaim } from '../enqueue/request';
import type { JsonValue } from './json';
import { isObject, isText, isTexts, isTime } from './kinds';

/** The version this code writes; a higher one was written by a newer deploy. */
const VERSION = 1;

/** The road a job took. */
export type Via = 'outbox' | 'redis' | 'fallback';

/** What a job's end leaves behind (fused-script.ts). */
export type RoadTraces = '' | 'f' | 'r' | 'fr';

const TRACES: ReadonlyMap<string, RoadTraces> = new Map([
  ['outbox', 'f'],
  ['redis', 'r'],
  ['fallback', 'fr'],
]);

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

/** @param payload undefined where it cannot be read: the job may be from anywhere then. */
export function roadTraces(payload: Pick<Payload, 'via'> | undefined): RoadTraces {
  if (!payload) return 'f';
  return payload.via === undefined ? '' : (TRACES.get(payload.via) ?? 'f');
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
 * Takes what a plain bee-queue producer may have written, too: only `class` and `args` are needed. What else there is
 * and not of its kind counts as absent.
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
  return {
    args: [],
    ...given,
    v,
    class: given.class,
    attrs: readContext(given.attrs),
    ...(given.tags !== undefined && { tags: isTexts(given.tags) ? given.tags : [] }),
    // Whatever it says, there may be a claim to be released.
    ...(given.unique !== undefined && { unique: given.unique === 'executing' ? 'executing' : 'executed' }),
    enqueuedAt: isTime(given.enqueuedAt) ? given.enqueuedAt : 0,
  };
}

function readContext(given: unknown): CarriedContext {
  const { requestId, locale, attributes } = (given ?? {}) as Partial<CarriedContext>;
  return {
    ...(isText(requestId) && { requestId }),
    ...(isText(locale) && { locale }),
    ...(isObject(attributes) && { attributes }),
  };
}
