import { appCaller } from '../../core/app-frames';
import { currentTransaction, endedTransaction } from '../../model/transaction';
import { deferred } from '../../support/deferred';
import { toError } from '../../support/to-error';
import { EnqueueError } from '../definition/errors';
import type {
  BulkOptions,
  EnqueuedJob,
  EnqueueRequest,
  JobClass,
  JobOptions,
  PreparedJob,
} from '../definition/job-class';
import { effectiveName } from '../definition/options';
import type { EnqueueMiddleware } from '../definition/setup';
import { type Enqueue, enqueueWithCallbacks, hasEnqueueCallbacks, orCancelled } from './callbacks';
import { connection, type Enqueuer, type JobConnection } from './connection';
import { buildRequests, spreadOut } from './request';

/**
 * Enqueues jobs through the app's middleware and the callbacks of their classes. All arguments are checked before any
 * job is enqueued. @returns one result for each job, in order.
 * @param caller named in the error when nothing is connected.
 * @throws TypeError; NotConnectedError; EnqueueError when only some could be enqueued.
 */
export async function enqueueJobs(
  jobs: readonly PreparedJob[],
  caller: string,
  options: BulkOptions = {},
): Promise<EnqueuedJob[]> {
  underWay++;
  try {
    return await enqueueAll(jobs, caller, options);
  } finally {
    underWay--;
  }
}

let underWay = 0;

/** @returns the number of calls that enqueue in this process at the moment, awaited or not. */
export function enqueuesUnderWay(): number {
  return underWay;
}

async function enqueueAll(
  jobs: readonly PreparedJob[],
  caller: string,
  { spread }: BulkOptions,
): Promise<EnqueuedJob[]> {
  const connected = connection(caller);
  const { enqueuer, setup } = connected;
  const source = enqueuer.logsSources ? appCaller() : undefined;
  const late = jobs.some(({ options }) => !options.trx) && endedTransaction();
  if (late && (await late) === 'rolled back') {
    throw new Error(
      `${caller} was called in a transaction that has been rolled back: await it inside transaction(), or call it where none is open`,
    );
  }
  const built = buildRequests(jobs, connected);
  const placed = source === undefined ? built : built.map((request) => ({ ...request, source }));
  const requests = spread === undefined ? placed : spreadOut(placed, spread, caller);
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

interface Waiting {
  readonly request: EnqueueRequest;
  readonly resolve: (job: EnqueuedJob) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Batches jobs that middleware and callbacks let through one by one: all that arrive in the same turn of the event loop are
 * enqueued together. A batch waits for no job, so a middleware may let only one through at a time.
 */
class EnqueueBatcher {
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
