import type { JsonValue } from '../../core/execution-context';
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
  const { expiresInMs, batch, ...fields } = (data ?? {}) as Partial<Payload>;
  const v = fields.v ?? 1;
  if (v > newest) throw new NewerFormatError(isText(fields.class) ? fields.class : 'unreadable', v, VERSION);
  if (typeof fields.class !== 'string') throw new UnreadableJobError('the payload names no job class');
  if (fields.args !== undefined && !Array.isArray(fields.args)) {
    throw new UnreadableJobError(`the arguments of ${fields.class} are not an array`);
  }
  const { encrypted, sealedFor, ...plain } = fields;
  if (encrypted !== undefined && !isText(encrypted)) {
    throw new UnreadableJobError(`the encrypted arguments of ${fields.class} are no text`);
  }
  return {
    args: [],
    ...plain,
    ...(encrypted !== undefined && { encrypted, args: [], ...(isText(sealedFor) && { sealedFor }) }),
    v,
    class: fields.class,
    attrs: readContext(fields.attrs),
    ...(fields.tags !== undefined && { tags: isTexts(fields.tags) ? fields.tags : [] }),
    // With an invalid value there may still be a claim to release.
    ...(fields.unique !== undefined && { unique: fields.unique === 'executing' ? 'executing' : 'executed' }),
    ...(isCount(expiresInMs) && { expiresInMs }),
    ...(isText(batch) && isUuid(batch) && { batch }),
    enqueuedAt: isTime(fields.enqueuedAt) ? fields.enqueuedAt : 0,
  };
}

function readContext(context: unknown): CarriedContext {
  const { requestId, locale, attributes } = (context ?? {}) as Partial<CarriedContext>;
  return {
    ...(isText(requestId) && { requestId }),
    ...(isText(locale) && { locale }),
    ...(isObject(attributes) && { attributes }),
  };
}
