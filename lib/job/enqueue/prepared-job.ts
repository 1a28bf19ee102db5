import type { JobClass, JobOptions } from '../job-class';

/** A job that is ready to be enqueued, with others, by `performAllLater`. Enqueued twice, it is two jobs. */
export interface PreparedJob {
  readonly jobClass: JobClass;
  readonly args: readonly unknown[];
  readonly options: JobOptions;
}
