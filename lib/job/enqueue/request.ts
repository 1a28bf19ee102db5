import { createHash } from 'node:crypto';
import { type Attributes, currentContext, type JsonValue } from '../../core/execution-context';
import { currentTransaction } from '../../model/transaction';
import { type Duration, parseDuration } from '../../support/duration';
import { timeOrderedUuid } from '../../support/uuid';
import { checkBatchId } from '../definition/batch';
import type { CarriedContext, EnqueueRequest, PreparedJob, RunAt, UniqueClaim } from '../definition/job-class';
import { limitKey } from '../definition/limits';
import { compileOptions, queueFor, readExpiry, readPriority, runAt } from '../definition/options';
import type { UniqueRule } from '../definition/unique';
import { type ArgumentCodec, serializeArguments } from '../record/arguments';
import { type Keyring, requireKeys } from '../record/encryption';
import type { JobDependencies } from './connection';

/** A tag is one line of text. Postgres cannot store NUL or lone surrogates. */
const TAG = /^[^\p{Cc}\p{Cs}]{1,200}$/u;
const NO_TAGS: readonly string[] = Object.freeze([]);

/**
 * Builds requests for these jobs, each with a new id. Nothing is enqueued yet.
 * @throws TypeError for arguments that cannot be serialized, or invalid options; UserError when there is no key to encrypt with.
 */
export function buildRequests(
  jobs: readonly PreparedJob[],
  { setup, models, keys }: JobDependencies,
): EnqueueRequest[] {
  const codec = { serializers: setup?.serializers, models };
  const context = carriedContext();
  const ambient = currentTransaction();
  return jobs.map(({ jobClass, args, options, encrypt: isWanted }) => {
    const { name, unique, limit, expiresInMs, priority, encrypt: isDeclared } = compileOptions(jobClass);
    const encrypt = isWanted || isDeclared;
    const digests = encrypt ? requireKeys(name, keys) : undefined;
    const isTimed = options.wait !== undefined || options.waitUntil !== undefined;
    const claim = unique && uniqueClaim(unique, name, args, codec, digests, isTimed);
    return {
      id: timeOrderedUuid(),
      jobClass,
      name,
      args: serializeArguments(name, args, codec),
      encrypt,
      queue: options.queue ?? queueFor(jobClass, args),
      runAt: runAt(isTimed ? options.wait : unique?.waitMs, options.waitUntil),
      expiresInMs: readExpiry(options.expiresIn, name) ?? expiresInMs,
      priority: readPriority(options.priority, name) ?? priority,
      trx: options.trx ?? ambient,
      limitKey: claim && limit === unique.limit ? claim.key : limit && limitKey(limit, name, args, digests),
      unique: unique?.isInOrder ? undefined : claim,
      tags: allTags(name, jobClass.tags, options.tags),
      ...(options.batch && { batchId: checkBatchId(options.batch.id, name) }),
      context,
    };
  });
}

/**
 * Makes jobs due evenly over a time, the first one at the time that it has.
 * @throws TypeError that begins with `caller`, for anything but a length of time.
 */
export function spreadOut(requests: readonly EnqueueRequest[], spread: Duration, caller: string): EnqueueRequest[] {
  const ms = parseDuration(spread);
  if (ms === undefined)
    throw new TypeError(`${caller}: spread is ${JSON.stringify(spread)}; give a length of time such as '10m'`);
  return requests.map((request, i) => ({
    ...request,
    runAt: laterBy(Math.round((i * ms) / requests.length), request.runAt),
  }));
}

function laterBy(ms: number, runAt: RunAt | undefined): RunAt | undefined {
  if (ms === 0) return runAt;
  return runAt && 'at' in runAt ? { at: new Date(runAt.at.getTime() + ms) } : { inMs: (runAt?.inMs ?? 0) + ms };
}

type Tags = readonly string[] | undefined;

/** @throws TypeError that names the class and the tag. */
function allTags(name: string, ofClass: Tags, given: Tags): readonly string[] {
  if (!ofClass && !given) return NO_TAGS;
  const tags = [...new Set([...(ofClass ?? []), ...(given ?? [])])];
  for (const tag of tags) checkTag(name, tag);
  return tags;
}

/** @throws TypeError that names the class and the tag. */
export function checkTag(name: string, tag: unknown): void {
  if (typeof tag === 'string' && TAG.test(tag)) return;
  throw new TypeError(`${name}: a tag is ${JSON.stringify(tag)}; give text of 1 to 200 characters on one line`);
}

function carriedContext(): CarriedContext {
  const { requestId, locale, attributes } = currentContext();
  if (attributes) checkAttributes(attributes);
  return {
    ...(requestId !== undefined && { requestId }),
    ...(locale !== undefined && { locale }),
    ...(attributes !== undefined && { attributes }),
  };
}

const checked = new WeakSet<Attributes>();

/** Checks once per context, not per job. @throws TypeError for attributes that are not JSON. */
function checkAttributes(attributes: Attributes): void {
  if (checked.has(attributes)) return;
  for (const [name, value] of Object.entries(attributes)) {
    const [json] = serializeArguments(`withAttributes: ${name}`, [value]);
    if (json !== value) throw new TypeError(`withAttributes: ${name} is not plain JSON; attributes travel as they are`);
  }
  checked.add(attributes);
}

/**
 * The claim of one job. Its key is the class's name and a digest of the value that `by` returns for the arguments; the
 * order of an object's keys does not matter.
 * @param digests makes the digest of a job whose arguments are encrypted.
 * @param isTimed true: the enqueue names the time of the run, which counts instead of the class's.
 * @throws TypeError if the value of `by` cannot be serialized.
 */
function uniqueClaim(
  { by, named, until, ttlMs, onConflict, isThrottled, waitMs }: UniqueRule,
  name: string,
  args: readonly unknown[],
  codec: ArgumentCodec,
  digests: Keyring | undefined,
  isTimed: boolean,
): UniqueClaim {
  const parts = by ? [by(...(args as never[]))] : args;
  const json = serializeArguments(`${name}, ${named}`, parts, codec);
  const text = canonicalJson(json);
  const digest = digests?.digest(text) ?? createHash('sha256').update(text).digest('base64url');
  const key = `${name}:${digest}`;
  return { key, until, ttlMs: isTimed && waitMs !== undefined ? null : ttlMs, onConflict, isThrottled };
}

/** Writes equal values as equal texts, whatever the order of their keys. */
function canonicalJson(value: JsonValue): string {
  return JSON.stringify(value, (_, part: JsonValue) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}
