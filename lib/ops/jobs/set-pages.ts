import type { JobSets } from '../../job/set/job-sets';
import type { SortKey } from '../../job/set/page';
import type { BulkOptions, BulkResult, Selection } from '../../job/set/selection';

/** What can be done with jobs. The texts are `jobs.acts.<name>`. */
export const ACTS = ['retry', 'run', 'reschedule', 'kill', 'delete'] as const;
export type ActName = (typeof ACTS)[number];

export interface ActOptions extends BulkOptions {
  /** Of `reschedule`. */
  readonly at: Date;
}

type Act = (sets: JobSets, selection: Selection, options: ActOptions) => Promise<BulkResult>;

/** A set of jobs, as a list in pages. The texts are `jobs.<name>`. */
export interface SetPage {
  readonly name: 'scheduled' | 'retries' | 'dead';
  /** Of `JobSets`. */
  readonly set: 'scheduled' | 'retry' | 'dead';
  /** What one mostly wants is the first. */
  readonly acts: Readonly<Partial<Record<ActName, Act>>>;
  /** Its order, when nobody asks for another. */
  readonly newestFirst: boolean;
  readonly sorts: readonly SortKey[];
  /** Its jobs have failed: there are errors and attempts. */
  readonly failed: boolean;
}

const FAILED: readonly SortKey[] = ['class', 'queue', 'error', 'attempts', 'at'];

const SCHEDULED: SetPage = {
  name: 'scheduled',
  set: 'scheduled',
  acts: {
    run: (sets, selection, options) => sets.scheduled.runMany(selection, options),
    reschedule: (sets, selection, options) => sets.scheduled.rescheduleMany(selection, options.at, options),
    kill: (sets, selection, options) => sets.scheduled.killMany(selection, options),
    delete: (sets, selection, options) => sets.scheduled.deleteMany(selection, options),
  },
  newestFirst: false,
  sorts: ['class', 'queue', 'at'],
  failed: false,
};

const RETRIES: SetPage = {
  name: 'retries',
  set: 'retry',
  acts: {
    retry: (sets, selection, options) => sets.retry.retryMany(selection, options),
    reschedule: (sets, selection, options) => sets.retry.rescheduleMany(selection, options.at, options),
    kill: (sets, selection, options) => sets.retry.killMany(selection, options),
    delete: (sets, selection, options) => sets.retry.deleteMany(selection, options),
  },
  newestFirst: false,
  sorts: FAILED,
  failed: true,
};

const DEAD: SetPage = {
  name: 'dead',
  set: 'dead',
  acts: {
    retry: (sets, selection, options) => sets.dead.retryMany(selection, options),
    delete: (sets, selection, options) => sets.dead.deleteMany(selection, options),
  },
  newestFirst: true,
  sorts: FAILED,
  failed: true,
};

export const SET_PAGES: readonly SetPage[] = [SCHEDULED, RETRIES, DEAD];

export function actNames({ acts }: SetPage): ActName[] {
  return ACTS.filter((name) => acts[name] !== undefined);
}

/** Done without a question when single jobs are meant: it costs nothing. */
export function isHarmless(act: ActName): boolean {
  return act === 'retry' || act === 'run';
}
