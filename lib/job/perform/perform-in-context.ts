import { NotConnectedError } from '../../core/errors';
import { runInContext } from '../../core/execution-context';
import { type JobClass, type JobContext, jobNameOf, type Performable } from '../job-class';

const contexts = new WeakMap<Performable, JobContext>();

/** @throws NotConnectedError when nobody is performing this instance. */
export function contextOf(job: Performable): JobContext {
  const context = contexts.get(job);
  if (!context) throw new NotConnectedError('this.context exists only while the job is being performed');
  return context;
}

/** Runs one job of the class, with `context` as its `this.context` and in the execution context. */
export async function performInContext(
  jobClass: JobClass,
  context: JobContext,
  args: readonly unknown[],
  attrs: { readonly requestId?: string; readonly locale?: string } = {},
): Promise<unknown> {
  const job = new jobClass();
  contexts.set(job, context);
  const { id, attempt } = context;
  return runInContext({ ...attrs, jobId: id, jobClass: jobNameOf(jobClass), attempt }, () =>
    job.perform(...(args as never[])),
  );
}
