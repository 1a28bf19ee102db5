import { randomUUID } from 'node:crypto';
import { RateLimited, Snooze } from '../definition/errors';
import type { CarriedContext, JobClass, Performable } from '../definition/job-class';
import { type CompiledOptions, compileOptions, queueFor } from '../definition/options';
import type { JobRun, PerformMiddleware } from '../definition/setup';
import { Checkpoint } from './checkpoint';
import { decide } from './failure-decision';
import { attachRun, Run, runInOwnContext, watchTimeout } from './run';

/** Runs middleware, callbacks and `perform`, in the context of the run. @returns the result of `perform`. */
export async function performJob(
  job: Performable,
  plan: CompiledOptions,
  run: Run,
  middleware: readonly PerformMiddleware[],
): Promise<unknown> {
  if (plan.bare && middleware.length === 0) return job.perform(...(run.args as never[]));
  if (middleware.length === 0) return performWithCallbacks(job, plan, run.args);
  let result: unknown;
  await runThrough(middleware, run, async () => {
    result = await performWithCallbacks(job, plan, run.args);
  });
  return result;
}

type Work = () => Promise<void>;

/**
 * Runs `work` inside all middleware, the first one outermost. A middleware that does not call `next` skips the rest.
 */
async function runThrough(middleware: readonly PerformMiddleware[], run: JobRun, work: Work): Promise<void> {
  const enter = (index: number): Promise<void> => {
    const layer = middleware[index];
    if (!layer) return work();
    return around(
      (next) => layer(run, next),
      () => enter(index + 1),
      `the perform middleware ${layer.name || index + 1}`,
    );
  };
  await enter(0);
}

/**
 * Runs `layer` around `inner` and waits until both have ended. Otherwise a job would be done while it still runs.
 * @param name name of the layer, for errors.
 * @throws Error when the layer ends before `inner`, or calls it twice.
 */
export async function around(layer: (next: Work) => unknown, inner: Work, name: string): Promise<void> {
  let begun: Promise<void> | undefined;
  let ended = false;
  const end = () => {
    ended = true;
  };
  await layer(() => {
    if (begun) return Promise.reject(new Error(`${name} called next() twice`));
    begun = inner();
    begun.then(end, end);
    return begun;
  });
  if (!begun || ended) return;
  await (begun as Promise<void>).catch(() => undefined);
  throw new Error(`${name} did not await next()`);
}

/**
 * Runs `perform` with the class's own callbacks: beforePerform, then aroundPerform around perform, then afterPerform.
 */
async function performWithCallbacks(
  job: Performable,
  plan: CompiledOptions,
  args: readonly unknown[],
): Promise<unknown> {
  const given = args as never[];
  let performed = false;
  let result: unknown;
  const perform = async () => {
    result = await job.perform(...given);
    performed = true;
  };
  if (plan.before) await job.beforePerform?.(...given);
  if (plan.around) {
    await around((next) => job.aroundPerform?.(next, ...given), perform, `aroundPerform of ${plan.name}`);
  } else await perform();
  if (plan.after && performed) await job.afterPerform?.(...given);
  return result;
}

/** Options of a run without a row. Defaults: a fresh id, the first attempt, the class's queue and tags. */
interface RunHere {
  readonly id?: string;
  readonly attempt?: number;
  readonly queue?: string;
  readonly tags?: readonly string[];
  /** Replaces the context of the calling code. */
  readonly carried?: CarriedContext;
  /** The app's middleware. */
  readonly middleware?: readonly PerformMiddleware[] | undefined;
}

/**
 * Runs a job in the calling code, with its callbacks and its timeout, without retries or a record; of its rules only those
 * of `rescueFrom` apply. Its cursor and progress are kept in memory.
 * @throws the error of `perform` or a callback; JobTimeoutError when it rejects after its timeout.
 */
export async function performNow(
  jobClass: JobClass,
  args: readonly unknown[],
  {
    id = randomUUID(),
    attempt = 1,
    queue = queueFor(jobClass, args),
    tags = jobClass.tags ?? [],
    carried = {},
    middleware = [],
  }: RunHere = {},
): Promise<unknown> {
  const plan = compileOptions(jobClass);
  const owner = { id, claimedAt: '' };
  const makeCheckpoint = () => new Checkpoint({ run, owner, store: undefined, onError: () => undefined });
  const enqueuedAtMs = Date.now();
  const run: Run = new Run({
    id,
    queue,
    attempt,
    tags,
    class: plan.name,
    deliveries: 1,
    enqueuedAtMs,
    carried,
    makeCheckpoint,
  });
  run.args = args;
  const job: Performable = new jobClass();
  attachRun(job, run);
  const unwatch = plan.timeoutMs === undefined ? undefined : watchTimeout(run, plan.timeoutMs, () => undefined);
  try {
    return await runInOwnContext(run, () => performJob(job, plan, run, middleware));
  } catch (thrown) {
    const error = run.failure(thrown);
    const { kind, handler } = decide(jobClass, { attempt, error }, { onBrokenRule: () => undefined });
    if (kind !== 'rescue' || error instanceof Snooze || error instanceof RateLimited) throw error;
    return await runInOwnContext(run, () => handler?.(error, job));
  } finally {
    unwatch?.();
    run.openCheckpoint?.close();
  }
}
