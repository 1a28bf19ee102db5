import { toError } from '../../core/errors';
import { deferred } from '../../support/deferred';
import { EnqueueError } from './enqueue-error';
import type { EnqueuedJob, EnqueueRequest, Enqueuer } from './request';

interface Waiting {
  readonly request: EnqueueRequest;
  readonly resolve: (job: EnqueuedJob) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Makes one bulk again of jobs that middleware and callbacks let through one by one: what arrives in the same turn of
 * the event loop is enqueued together. Nobody is waited for, so a middleware may let only one job through at a time.
 */
export class Gatherer {
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
