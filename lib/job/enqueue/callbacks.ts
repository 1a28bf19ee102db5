import type { EnqueuedJob, EnqueueRequest, JobClass, Performable } from '../definition/job-class';

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
