import { type Duration, parseDuration } from '../support/duration';
import { appSources } from './admin/app-sources';
import { JobAdmin } from './admin/job-admin';
import type { Queues } from './admin/queues';
import type { ListedProcess } from './processes/process-list';
import type { RunningJob } from './processes/running-jobs';
import type { SetName } from './sets/entry';
import type { FoundPlace } from './sets/find-job';
import {
  type BulkOptions,
  type BulkResult,
  InvalidRequestError,
  type JobAction,
  type JobFilter,
  type JobPage,
  type JobRef,
  type PageRequest,
} from './sets/query';
import type { HistorySum } from './stats/history';

const admin = (method: string): JobAdmin => new JobAdmin(appSources(`Jobs.${method}`));

/**
 * What the pages of jobs and `catamount jobs` do, for the app's own code, in any connected process. Inside a transaction it belongs
 * to that. What it changes is logged as done by the app. Nothing checks who may do it, and arguments are shown as they are stored.
 *
 * All of it throws NotConnectedError before boot and in tests with fake or inline jobs, and errors of Postgres.
 */
export const Jobs = Object.freeze({
  /** Lists, pauses, resumes and clears queues: `await Jobs.queues.pause('mailer')`. */
  get queues(): Queues {
    return admin('queues').queues;
  },

  /**
   * Reads jobs of a set: `await Jobs.page('dead', { class: 'ImportJob', limit: 100 })`.
   * @throws InvalidRequestError for an invalid request.
   */
  page(set: SetName, request?: PageRequest): Promise<JobPage> {
    return admin('page').set(set).page(request);
  },

  /** Counts the jobs of a set that match, up to 10,000. @throws InvalidRequestError for an invalid filter. */
  count(set: SetName, filter?: JobFilter): Promise<number> {
    return admin('count').set(set).count(filter);
  },

  /** Finds a job, wherever it is. @throws InvalidRequestError for an invalid id. */
  find(job: JobRef): Promise<FoundPlace> {
    return admin('find').find(job);
  },

  /**
   * Puts a job that has failed, or is dead, at the tail of its queue.
   * @returns false if there is no such job any longer.
   * @throws InvalidRequestError for a job that is elsewhere, and for an invalid id.
   */
  retry(job: JobRef): Promise<boolean> {
    return admin('retry').move('retry', job);
  },

  /** Puts a scheduled job at the tail of its queue. @returns and @throws as `retry`. */
  promote(job: JobRef): Promise<boolean> {
    return admin('promote').move('promote', job);
  },

  /** Enqueues a copy of a finished job, which is a new one. @returns and @throws as `retry`. */
  rerun(job: JobRef): Promise<boolean> {
    return admin('rerun').move('rerun', job);
  },

  /** Moves a job that waits for a retry, or is scheduled, to the dead set. @returns and @throws as `retry`. */
  kill(job: JobRef): Promise<boolean> {
    return admin('kill').move('kill', job);
  },

  /** Deletes a job that neither runs nor is blocked; `Job.cancel` ends those. @returns and @throws as `retry`. */
  delete(job: JobRef): Promise<boolean> {
    return admin('delete').move('delete', job);
  },

  /**
   * Does it with all jobs of a set that match, 200 at a time: `await Jobs.all('retry', 'dead', { class: 'ImportJob' })`. What comes
   * into the set meanwhile is left alone. `{}` is the whole set.
   * @throws InvalidRequestError for an action that is not for the set, and for an invalid filter or limit.
   */
  async all(action: JobAction, set: SetName, filter: JobFilter, options?: BulkOptions): Promise<BulkResult> {
    checkChoice(filter);
    return admin('all').act(action, set, { filter }, options);
  },

  /** The jobs that run, of all processes, the longest running first; 1,000 at most. */
  running(): Promise<readonly RunningJob[]> {
    return admin('running').running();
  },

  /** The job processors of all trees. @returns undefined without Redis, which has the list, or while it does not answer. */
  processes(): Promise<readonly ListedProcess[] | undefined> {
    return admin('processes').knownProcesses();
  },

  /**
   * What became of jobs, by class, in the last time, such as `'1h'`, up to `'2d'`. Default: since the tables were created.
   * Counts are at most some seconds old. @throws TypeError for an invalid duration.
   */
  async stats(last?: Duration): Promise<HistorySum> {
    const { history } = admin('stats');
    if (last === undefined) return history.totals();
    const ms = parseDuration(last);
    if (ms === undefined || ms > MAX_STATS_MS)
      throw new TypeError(`Jobs.stats: ${last} is not a time such as 1h, up to 2d`);
    return history.last(ms);
  },
});

const MAX_STATS_MS = 2 * 24 * 3_600_000;
const CONDITIONS: readonly string[] = ['queue', 'class', 'tag', 'batch', 'error', 'text', 'since', 'until'];

/** A condition that is misspelt or has no value would choose all jobs. @throws InvalidRequestError. */
function checkChoice(filter: unknown): void {
  if (typeof filter !== 'object' || filter === null)
    throw new InvalidRequestError(`Jobs.all: the filter is ${String(filter)}; give one, or {} for the whole set`);
  for (const [name, value] of Object.entries(filter)) {
    if (!CONDITIONS.includes(name))
      throw new InvalidRequestError(`Jobs.all: there is no condition ${name}; there are ${CONDITIONS.join(', ')}`);
    if (value === undefined || value === '')
      throw new InvalidRequestError(`Jobs.all: ${name} has no value; leave it out to choose whatever it is`);
  }
}
