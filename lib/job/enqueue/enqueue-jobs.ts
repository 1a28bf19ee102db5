import { toError } from '../../core/errors';
import { currentTransaction, endedTransaction } from '../../model/transaction';
import type { EnqueueMiddleware } from '../setup';
import { deserializeArguments } from './arguments';
import { type Enqueue, enqueueWithCallbacks, hasEnqueueCallbacks, orCancelled } from './callbacks';
import { connection, type JobConnection } from './connection';
import { allEnqueued } from './enqueue-error';
import { Gatherer } from './gatherer';
import { newRequests } from './new-request';
import type { PreparedJob } from './prepared-job';
import type { EnqueuedJob, EnqueueRequest } from './request';

/**
 * Enqueues jobs: the app's middleware around the callbacks of their classes around the enqueuer. All arguments are
 * checked before any job is enqueued. @returns one answer for each, in order.
 * @param asker named in the error when nothing is connected.
 * @throws TypeError; NotConnectedError; EnqueueError when only some could be enqueued.
 */
export async function enqueueJobs(jobs: readonly PreparedJob[], asker: string): Promise<EnqueuedJob[]> {
  const connected = connection(asker);
  const { enqueuer, setup } = connected;
  const late = jobs.some(({ options }) => !options.trx) && endedTransaction();
  if (late && (await late) === 'rolled back') {
    throw new Error(
      `${asker} was called in a transaction that has been rolled back: await it inside transaction(), or call it where none is open`,
    );
  }
  const requests = newRequests(jobs, connected);
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
      return enqueueWithCallbacks(changed, await argumentsOf(changed, request, args, connected), once);
    };
    return middleware.reduceRight<Enqueue>(
      (next, layer) => async (given) => layer(given, next),
      withCallbacks,
    )(request);
  });
  if (enqueued.reason === 'cancelled') connected.enqueuer.cancelled?.(request);
  return enqueued;
}

/** What the callbacks are given: the arguments themselves, or what a middleware has made of them. */
async function argumentsOf(
  changed: EnqueueRequest,
  request: EnqueueRequest,
  args: readonly unknown[],
  { setup, models }: JobConnection,
): Promise<readonly unknown[]> {
  if (changed.args === request.args) return args;
  return deserializeArguments(changed.args, { serializers: setup?.serializers, models });
}

/** The innermost of it. A transaction that a middleware has opened around it counts. */
function terminal({ enqueuer }: JobConnection, count: number): Enqueue {
  const gatherer = count > 1 ? new Gatherer(enqueuer) : undefined;
  return async (given) => {
    const trx = given.trx ?? currentTransaction();
    const request = trx === given.trx ? given : { ...given, trx };
    if (gatherer) return gatherer.enqueue(request);
    const [enqueued] = await enqueuer.enqueue([request]);
    if (!enqueued) throw new Error(`${request.name}: the enqueuer gave no answer`);
    return enqueued;
  };
}
