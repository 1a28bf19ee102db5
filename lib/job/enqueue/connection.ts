import { NotConnectedError } from '../../core/errors';
import type { ModelLookup } from '../../model/model-lookup';
import type { BatchStore } from '../definition/batch';
import type { CancelCounts, EnqueuedJob, EnqueueRequest } from '../definition/job-class';
import type { JobRun, JobSetup } from '../definition/setup';
import type { Keyring } from '../record/encryption';
import type { CancelChoice } from '../row/cancel';
import type { EndedJob } from '../row/finished';

/** The destination of enqueued jobs: Postgres, or memory in tests. */
export interface Enqueuer {
  /** @returns one result for each request, in order. @throws EnqueueError when only some could be enqueued. */
  enqueue(requests: readonly EnqueueRequest[]): Promise<EnqueuedJob[]>;
  /** true: it wants to know the place in the app that enqueues. */
  readonly logsSources?: boolean;
  /** Called for a job that a callback or a middleware has cancelled. */
  cancelled?(request: EnqueueRequest): void;
  /** Called for a job whose transaction had committed before it was enqueued, since the enqueue was not awaited. */
  late?(request: EnqueueRequest): void;
  /** Cancels the job, or the jobs that match. @param reason '' for none. */
  cancel(choice: CancelChoice, reason: string): Promise<CancelCounts>;
  /** @returns what became of these jobs; one that is in no place is not among them. */
  endings(ids: readonly string[]): Promise<ReadonlyMap<string, EndedJob>>;
  /** Called for a line that a job writes to the log of its process. */
  log?(job: Pick<JobRun, 'id' | 'class'>, text: string): void;
  /** Loaded on demand, since most processes have no batches. */
  batches(): Promise<BatchStore>;
}

export interface JobDependencies {
  readonly setup?: JobSetup | undefined;
  readonly models?: ModelLookup | undefined;
  /** Encrypts the arguments of classes that say so. */
  readonly keys?: Keyring | undefined;
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

/** Writes a line of a job to the log of its process, if there is one. */
export function logLine(job: Pick<JobRun, 'id' | 'class'>, text: string): void {
  enqueuer?.log?.(job, text);
}

/** Empty before `boot()`. */
export function jobEquipment(): JobDependencies {
  return equipment;
}
