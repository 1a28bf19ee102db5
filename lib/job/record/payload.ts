import type { JsonValue } from '../../core/execution-context';
import type { TraceContext } from '../../core/tracing';
import { isCount, isObject, isText, isTexts, isTime } from '../../support/type-guards';
import { isUuid } from '../../support/uuid';
import { NewerFormatError } from '../definition/errors';
import type { CarriedContext, UniqueClaim } from '../definition/job-class';

/**
 * The newest version of a payload. 1: its arguments are plain. 2: they are encrypted. 3: they are, for a unique key and not for one
 * job. Raise it only for a change that older code would misread, because older code then leaves such jobs to newer code
 * (perform/jobs-left.ts). Add fields that older code may ignore under new names.
 */
export const VERSION = 3;

/** The content of a job, as `payload` of its row. */
export interface Payload {
  readonly v: number;
  readonly class: string;
  /** Empty if they are encrypted. */
  readonly args: readonly JsonValue[];
  /** The arguments, as `Keyring` encrypts them. */
  readonly encrypted?: string;
  /** The unique key that they are encrypted for, since the job may be replaced. Absent: they are for the job's id. */
  readonly sealedFor?: string;
  /** The context of the enqueuing code, which the job runs in. */
  readonly attrs: CarriedContext;
  /** The span that has enqueued it, if it was traced. */
  readonly trace?: TraceContext;
  readonly tags?: readonly string[];
  /** The job holds a claim (row/unique.ts), which is released before its run, or with its row. */
  readonly unique?: UniqueClaim['until'];
  /** The job leaves without a run when it has been due for this long and has not begun, ms. */
  readonly expiresInMs?: number;
  /** The batch that it is a job or a callback of. */
  readonly batch?: string;
  /** ms since 1970. */
  readonly enqueuedAt: number;
}

/** A job whose payload makes no sense: it would fail in the same way on every run. */
export class UnreadableJobError extends Error {
  override readonly name = 'UnreadableJobError';
}

/** @throws UnreadableJobError; NewerFormatError when a newer version wrote it. */
export function parsePayload(text: string): Payload {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new UnreadableJobError('the payload is not JSON', { cause });
  }
  return readPayload(data);
}

/**
 * Reads a payload, also one that plain bee-queue producers or SQL have written: only `class` and `args` are needed. Other
 * fields of a wrong type count as absent.
 * @param newest versions above it are not read.
 * @throws UnreadableJobError; NewerFormatError when a newer version wrote it.
 */
export function readPayload(data: unknown, newest = VERSION): Payload {
  const fields = (data ?? {}) as Partial<Payload>;
  const { v = 1, class: name, args = [], encrypted, sealedFor, tags, unique, expiresInMs, batch, enqueuedAt } = fields;
  const { trace } = fields;
  if (v > newest) throw new NewerFormatError(isText(name) ? name : 'unreadable', v, VERSION);
  if (typeof name !== 'string') throw new UnreadableJobError('the payload names no job class');
  if (!Array.isArray(args)) throw new UnreadableJobError(`the arguments of ${name} are not an array`);
  if (encrypted !== undefined && !isText(encrypted)) {
    throw new UnreadableJobError(`the encrypted arguments of ${name} are no text`);
  }
  // Each job that runs is read. Fields that are set one by one cost less than spreads.
  const payload: { -readonly [Field in keyof Payload]: Payload[Field] } = {
    v,
    class: name,
    args: encrypted === undefined ? args : [],
    attrs: readContext(fields.attrs),
    enqueuedAt: isTime(enqueuedAt) ? enqueuedAt : 0,
  };
  if (encrypted !== undefined) payload.encrypted = encrypted;
  if (encrypted !== undefined && isText(sealedFor)) payload.sealedFor = sealedFor;
  if (isObject(trace) && isText(trace.traceparent)) payload.trace = trace;
  if (tags !== undefined) payload.tags = isTexts(tags) ? tags : [];
  // With an invalid value there may still be a claim to release.
  if (unique !== undefined) payload.unique = unique === 'executing' ? 'executing' : 'executed';
  if (isCount(expiresInMs)) payload.expiresInMs = expiresInMs;
  if (isText(batch) && isUuid(batch)) payload.batch = batch;
  return payload;
}

function readContext(context: unknown): CarriedContext {
  const { requestId, locale, attributes } = (context ?? {}) as Partial<CarriedContext>;
  const read: { -readonly [Field in keyof CarriedContext]: CarriedContext[Field] } = {};
  if (isText(requestId)) read.requestId = requestId;
  if (isText(locale)) read.locale = locale;
  if (isObject(attributes)) read.attributes = attributes;
  return read;
}
