import { randomUUID } from 'node:crypto';
import type { CarriedContext } from '../enqueue/request';
import type { JobClass, Performable } from '../job-class';
import type { PerformMiddleware } from '../setup';
import { planOf } from './class-plan';
import { MemoryNoteStore } from './note-store';
import { attachRun, performJob, runInContextOf } from './perform-in-context';
import { Run } from './run';
import { RunNotes } from './run-notes';
import { watchTimeout } from './timeout';

/** A run without a record in Redis. Left out: a fresh id, the first attempt, the class's queue and tags. */
export interface RunHere {
  readonly id?: string;
  readonly attempt?: number;
  readonly queue?: string;
  readonly tags?: readonly string[];
  /** In place of the context of the code that calls. */
  readonly carried?: CarriedContext;
  /** The app's. */
  readonly middleware?: readonly PerformMiddleware[] | undefined;
}

/**
 * Runs a job here and now: with its callbacks and its timeout, without retries or a record. Its cursor and progress are
 * kept in memory.
 * @throws what `perform` or a callback throws; JobTimeoutError when it is late and then rejects.
 */
export async function performHere(
  jobClass: JobClass,
  args: readonly unknown[],
  {
    id = randomUUID(),
    attempt = 1,
    queue = jobClass.queue,
    tags = jobClass.tags ?? [],
    carried = {},
    middleware = [],
  }: RunHere = {},
): Promise<unknown> {
  const plan = planOf(jobClass);
  const store = new MemoryNoteStore();
  const owner = { id, queue, fence: '' };
  const makeNotes = (): RunNotes => new RunNotes({ run, owner, store, onError: () => undefined });
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
    makeNotes,
  });
  run.args = args;
  const job: Performable = new jobClass();
  attachRun(job, run);
  const unwatch = plan.timeoutMs === undefined ? undefined : watchTimeout(run, plan.timeoutMs, () => undefined);
  try {
    return await runInContextOf(run, () => performJob(job, plan, run, middleware));
  } catch (thrown) {
    throw run.failure(thrown);
  } finally {
    unwatch?.();
    run.notesInUse?.close();
  }
}
