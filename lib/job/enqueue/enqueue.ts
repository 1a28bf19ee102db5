import { createHash } from 'node:crypto';
import { NotConnectedError } from '../../core/errors';
import { type Attributes, currentContext, type JsonValue } from '../../core/execution-context';
import type { ModelLookup } from '../../model/model-lookup';
import { currentTransaction, endedTransaction } from '../../model/transaction';
import { deferred } from '../../support/deferred';
import { toError } from '../../support/to-error';
import { timeOrderedUuid } from '../../support/uuid';
import { EnqueueError } from '../definition/errors';
import type {
  CarriedContext,
  EnqueuedJob,
  EnqueueRequest,
  JobClass,
  JobOptions,
  Performable,
  PreparedJob,
  UniqueClaim,
} from '../definition/job-class';
import type { UniqueRule } from '../definition/options';
import { compileOptions, effectiveName, runAt } from '../definition/options';
import type { EnqueueMiddleware, JobSetup } from '../definition/setup';
import type { ArgumentCodec } from '../record/arguments';
import { serializeArguments } from '../record/arguments';

/**
 * Enqueues jobs through the app's middleware and the callbacks of their classes. All arguments are checked before any
 * job is enqueued. @returns one result for each job, in order.
 * @param caller named in the error when nothing is connected.
 * @throws TypeError; NotConnectedError; EnqueueError when only some could be enqueued.
 */
export async function enqueueJobs(jobs: readonly PreparedJob[], caller: string): Promise<EnqueuedJob[]> {
  underWay++;
  try {
    return await enqueueAll(jobs, caller);
  } finally {
    underWay--;
  }
}

let underWay = 0;

/** @returns the number of calls that enqueue in this process at the moment, awaited or not. */
export function enqueuesUnderWay(): number {
  return underWay;
}

async function enqueueAll(jobs: readonly PreparedJob[], caller: string): Promise<EnqueuedJob[]> {
  const connected = connection(caller);
  const { enqueuer, setup } = connected;
  const late = jobs.some(({ options }) => !options.trx) && endedTransaction();
  if (late && (await late) === 'rolled back') {
    throw new Error(
      `${caller} was called in a transaction that has been rolled back: await it inside transaction(), or call it where none is open`,
    );
  }
  const requests = buildRequests(jobs, connected);
  if (late) for (const request of requests) enqueuer.late?.(request);
  const middleware = setup?.enqueueMiddleware ?? [];
  if (middleware.length === 0 && !jobs.some(({ jobClass }) => hasEnqueueCallbacks(jobClass))) {
    return enqueuer.enqueue(requests);
  }
  const enqueue = terminal(connected, requests.length);
  const results = await Promise.all(
    requests.map((request, i) =>
      throughLayers(request, jobs[i]?.args ?? [], middleware, connected, enqueue).catch(toError),
    ),
  );
  return allEnqueued(results);
}

async function throughLayers(
  request: EnqueueRequest,
  args: readonly unknown[],
  middleware: readonly EnqueueMiddleware[],
  connected: JobConnection,
  enqueue: Enqueue,
): Promise<EnqueuedJob> {
  const enqueued = await orCancelled(request, enqueue, (once) => {
    const withCallbacks: Enqueue = async (changed) => {
      if (!hasEnqueueCallbacks(changed.jobClass)) return once(changed);
      return enqueueWithCallbacks(changed, await callbackArguments(changed, request, args, connected), once);
    };
    return middleware.reduceRight<Enqueue>(
      (next, layer) => async (given) => layer(given, next),
      withCallbacks,
    )(request);
  });
  if (enqueued.reason === 'cancelled') connected.enqueuer.cancelled?.(request);
  return enqueued;
}

/** The arguments for the callbacks: the given ones, or those of a request that a middleware has changed. */
async function callbackArguments(
  changed: EnqueueRequest,
  request: EnqueueRequest,
  args: readonly unknown[],
  { setup, models }: JobConnection,
): Promise<readonly unknown[]> {
  if (changed.args === request.args) return args;
  const { deserializeArguments } = await import('../record/argument-decoder');
  return deserializeArguments(changed.args, { serializers: setup?.serializers, models });
}

/** The innermost layer. It uses a transaction that a middleware has opened around it. */
function terminal({ enqueuer }: JobConnection, count: number): Enqueue {
  const batcher = count > 1 ? new EnqueueBatcher(enqueuer) : undefined;
  return async (given) => {
    const trx = given.trx ?? currentTransaction();
    const request = trx === given.trx ? given : { ...given, trx };
    if (batcher) return batcher.enqueue(request);
    const [enqueued] = await enqueuer.enqueue([request]);
    if (!enqueued) throw new Error(`${request.name}: the enqueuer gave no answer`);
    return enqueued;
  };
}

/** Thrown in `beforeEnqueue`, `aroundEnqueue` or an enqueue middleware: the job is not enqueued, without an error. */
export class CancelEnqueue extends Error {
  override readonly name = 'CancelEnqueue';
}

export type Enqueue = (request: EnqueueRequest) => Promise<EnqueuedJob>;

interface Callbacks {
  beforeEnqueue?(...args: readonly unknown[]): unknown;
  aroundEnqueue?(enqueue: () => Promise<EnqueuedJob>, ...args: readonly unknown[]): unknown;
  afterEnqueue?(job: EnqueuedJob, ...args: readonly unknown[]): unknown;
}

export function hasEnqueueCallbacks(jobClass: JobClass): boolean {
  const { beforeEnqueue, aroundEnqueue, afterEnqueue } =
    (jobClass as { readonly prototype?: Callbacks }).prototype ?? {};
  return beforeEnqueue !== undefined || aroundEnqueue !== undefined || afterEnqueue !== undefined;
}

/** Enqueues with the callbacks of the job's class, all on one instance. */
export async function enqueueWithCallbacks(
  request: EnqueueRequest,
  args: readonly unknown[],
  enqueue: Enqueue,
): Promise<EnqueuedJob> {
  const job: Performable & Callbacks = new request.jobClass();
  const enqueued = await orCancelled(request, enqueue, async (enqueueOnce) => {
    await job.beforeEnqueue?.(...args);
    let going: Promise<EnqueuedJob> | undefined;
    const enqueueIt = () => {
      going ??= enqueueOnce(request);
      return going;
    };
    if (job.aroundEnqueue) await job.aroundEnqueue(enqueueIt, ...args);
    else await enqueueIt();
    return going;
  });
  if (enqueued.enqueued) await job.afterEnqueue?.(enqueued, ...args);
  return enqueued;
}

/** Runs `work`, which may enqueue or not. After it has enqueued, `CancelEnqueue` comes too late and is an error. */
export async function orCancelled(
  request: EnqueueRequest,
  enqueue: Enqueue,
  work: (enqueue: Enqueue) => Promise<EnqueuedJob | undefined>,
): Promise<EnqueuedJob> {
  let begun: Promise<EnqueuedJob> | undefined;
  try {
    const enqueued = await work((given) => {
      begun = enqueue(given);
      return begun;
    });
    return enqueued ?? cancelledJob(request);
  } catch (thrown) {
    // The caller may not have awaited it, so its rejection would be unhandled.
    begun?.catch(() => undefined);
    if (thrown instanceof CancelEnqueue && !begun) return cancelledJob(request);
    throw thrown;
  }
}

function cancelledJob({ id }: EnqueueRequest): EnqueuedJob {
  return { id, enqueued: false, reason: 'cancelled' };
}

interface Waiting {
  readonly request: EnqueueRequest;
  readonly resolve: (job: EnqueuedJob) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Batches jobs that middleware and callbacks let through one by one: all that arrive in the same turn of the event loop are
 * enqueued together. A batch waits for no job, so a middleware may let only one through at a time.
 */
export class EnqueueBatcher {
  private waiting: Waiting[] = [];

  constructor(private readonly enqueuer: Enqueuer) {}

  enqueue(request: EnqueueRequest): Promise<EnqueuedJob> {
    const { promise, resolve, reject } = deferred<EnqueuedJob>();
    if (this.waiting.length === 0) setImmediate(() => void this.flush());
    this.waiting.push({ request, resolve, reject });
    return promise;
  }

  private async flush(): Promise<void> {
    const bulk = this.waiting;
    this.waiting = [];
    const results = await this.enqueueAll(bulk.map(({ request }) => request));
    bulk.forEach(({ resolve, reject }, i) => {
      const result = results[i];
      if (result instanceof Error || !result) reject(result);
      else resolve(result);
    });
  }

  private async enqueueAll(requests: readonly EnqueueRequest[]): Promise<readonly (EnqueuedJob | Error)[]> {
    try {
      return await this.enqueuer.enqueue(requests);
    } catch (thrown) {
      return thrown instanceof EnqueueError ? thrown.jobs : requests.map(() => toError(thrown));
    }
  }
}

/** A tag is one line of text. Postgres cannot store NUL or lone surrogates. */
const TAG = /^[^\p{Cc}\p{Cs}]{1,200}$/u;
const NO_TAGS: readonly string[] = Object.freeze([]);

/**
 * Builds requests for these jobs, each with a new id. Nothing is enqueued yet.
 * @throws TypeError for arguments that cannot be serialized, or invalid options.
 */
export function buildRequests(jobs: readonly PreparedJob[], { setup, models }: JobDependencies): EnqueueRequest[] {
  const codec = { serializers: setup?.serializers, models };
  const context = carriedContext();
  const ambient = currentTransaction();
  return jobs.map(({ jobClass, args, options }) => {
    const { name, unique } = compileOptions(jobClass);
    return {
      id: timeOrderedUuid(),
      jobClass,
      name,
      args: serializeArguments(name, args, codec),
      queue: options.queue ?? jobClass.queue,
      runAt: runAt(options.wait, options.waitUntil),
      trx: options.trx ?? ambient,
      unique: unique && uniqueClaim(unique, name, args, codec),
      tags: allTags(name, jobClass.tags, options.tags),
      context,
    };
  });
}

type Tags = readonly string[] | undefined;

/** @throws TypeError that names the class and the tag. */
function allTags(name: string, ofClass: Tags, given: Tags): readonly string[] {
  if (!ofClass && !given) return NO_TAGS;
  const tags = [...new Set([...(ofClass ?? []), ...(given ?? [])])];
  for (const tag of tags) {
    if (typeof tag === 'string' && TAG.test(tag)) continue;
    throw new TypeError(`${name}: a tag is ${JSON.stringify(tag)}; give text of 1 to 200 characters on one line`);
  }
  return tags;
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

/** The destination of enqueued jobs: Postgres, or memory in tests. */
export interface Enqueuer {
  /** @returns one result for each request, in order. @throws EnqueueError when only some could be enqueued. */
  enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]>;
  /** Called for a job that a callback or a middleware has cancelled. */
  cancelled?(request: EnqueueRequest): void;
  /** Called for a job whose transaction had committed before it was enqueued, since the enqueue was not awaited. */
  late?(request: EnqueueRequest): void;
}

/** The app's parts that its jobs depend on. */
export interface JobDependencies {
  readonly setup?: JobSetup | undefined;
  /** Loads arguments that are models. */
  readonly models?: ModelLookup | undefined;
}

export interface JobConnection extends JobDependencies {
  readonly enqueuer: Enqueuer;
}

let enqueuer: Enqueuer | undefined;
let equipment: JobDependencies = {};

/** @param given if omitted, the previous one is kept. */
export function connectEnqueuer(connected: Enqueuer | undefined, given: JobDependencies = equipment): void {
  enqueuer = connected;
  equipment = given;
}

/** @throws NotConnectedError before `boot()` has connected the job layer. @param caller named in the error. */
export function connection(caller: string): JobConnection {
  if (enqueuer) return { enqueuer, ...equipment };
  throw new NotConnectedError(
    `${caller} was called in a process that is not connected: call it from a request or a job, from a file that catamount run runs, or after await connect(app)`,
  );
}

/** Empty before `boot()`. */
export function jobEquipment(): JobDependencies {
  return equipment;
}

/**
 * The claim of one job. Its key is the class's name and a digest of the value that `by` returns for the arguments; the
 * order of an object's keys does not matter.
 * @throws TypeError if the value of `by` cannot be serialized.
 */
export function uniqueClaim(
  { by, until, ttlMs }: UniqueRule,
  name: string,
  args: readonly unknown[],
  codec: ArgumentCodec,
): UniqueClaim {
  const parts = by ? [by(...(args as never[]))] : args;
  const json = serializeArguments(`${name}, unique.by`, parts, codec);
  const digest = createHash('sha256').update(canonicalJson(json)).digest('base64url');
  return { key: `${name}:${digest}`, until, ttlMs };
}

/** Writes equal values as equal texts, whatever the order of their keys. */
export function canonicalJson(value: JsonValue): string {
  return JSON.stringify(value, (_, part: JsonValue) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}

export async function enqueueOne(
  jobClass: JobClass,
  options: JobOptions,
  args: readonly unknown[],
): Promise<EnqueuedJob> {
  const caller = `${effectiveName(jobClass)}.performLater`;
  const [enqueued] = await enqueueJobs([{ jobClass, options, args }], caller);
  if (!enqueued) throw new Error(`${caller}: the enqueuer gave no answer`);
  return enqueued;
}

/** @returns the jobs if all were enqueued. @throws the first error if none was; EnqueueError if only some were. */
export function allEnqueued(jobs: readonly (EnqueuedJob | Error)[]): EnqueuedJob[] {
  const enqueued = jobs.filter((job): job is EnqueuedJob => !(job instanceof Error));
  if (enqueued.length === jobs.length) return enqueued;
  if (enqueued.length > 0) throw new EnqueueError(jobs);
  throw jobs[0];
}
