import { NotConnectedError } from '../../core/errors';
import { currentContext, type ExecutionContext, runInContext } from '../../core/execution-context';
import type { JobContext, Performable } from '../job-class';
import type { PerformMiddleware } from '../setup';
import { performWithCallbacks } from './callbacks';
import type { ClassPlan } from './class-plan';
import { runThrough } from './middleware';
import type { Run } from './run';

/** On the instance: a WeakMap would cost the garbage collector more than all the rest of a short job. */
const RUN = Symbol('run');

interface Attached {
  [RUN]?: Run;
}

/** @throws NotConnectedError when nobody is performing this instance. */
export function contextOf(job: object): JobContext {
  return runOf(job);
}

/** @throws NotConnectedError when nobody is performing this instance. */
export function runOf(job: object): Run {
  const run = (job as Attached)[RUN];
  if (!run) throw new NotConnectedError('this.context exists only while the job is being performed');
  return run;
}

/** From now on `run` is what the job has as its `this.context`. */
export function attachRun(job: object, run: Run): void {
  (job as Attached)[RUN] = run;
}

/** Runs `work` in the execution context of the run: log lines name it, and jobs that it enqueues carry on its request's. */
export function runInContextOf<T>({ id, class: jobClass, attempt, carried }: Run, work: () => T): T {
  return runInContext({ jobId: id, jobClass, attempt, ...carried }, work);
}

/** In the execution context. A job that is performed within a run, by `performNow`, is a part of that run. */
const DELIVERED_RUN = Symbol('delivered run');

type ContextOfRun = ExecutionContext & { readonly [DELIVERED_RUN]?: Run };

/** The same for the run of a delivered job, which fails by an error that its code leaves for nobody to catch. */
export function runAsDelivered<T>(run: Run, work: () => T): T {
  const { id: jobId, class: jobClass, attempt, carried } = run;
  const context: ContextOfRun = { jobId, jobClass, attempt, ...carried, [DELIVERED_RUN]: run };
  return runInContext(context, work);
}

/** The run of the delivered job that the code at hand belongs to, which may have ended. */
export function deliveredRun(): Run | undefined {
  return (currentContext() as ContextOfRun)[DELIVERED_RUN];
}

/** Middleware, callbacks, `perform`. In the context of its run already. @returns what `perform` returns. */
export async function performJob(
  job: Performable,
  plan: ClassPlan,
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
