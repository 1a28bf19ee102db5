import { knownQueues } from '../../job/queue/queue-status';
import { type FoundPlace, findJob } from '../../job/sets/find-job';
import { isRef } from '../../job/sets/query';
import type { PageContext } from '../ui/context';
import { jobPath } from '../ui/format';

import type { DeliveryRow } from './deliveries';

/**
 * Outcome of a mail. `partly`: refused for some recipients. `retrying`: it failed and its job will be retried.
 * `unknown`: it failed and the state of its job is not known without Redis. The texts are `mail.outcome.<outcome>`.
 */
export type Outcome = 'sent' | 'partly' | 'claimed' | 'failed' | 'retrying' | 'unknown';

/** The job of a mail. */
export interface MailJob {
  readonly id: string;
  /** undefined when Redis is down. */
  readonly place: FoundPlace['place'] | undefined;
  /** Path of its page; null when its record is gone. */
  readonly href: string | null;
  /** Time of its next run; null when it is unknown. */
  readonly nextAttemptAt: Date | null;
}

/** A delivery record with the state of its job. */
export type DeliveryWithJob = DeliveryRow & {
  readonly outcome: Outcome;
  /** Time of the next attempt; null when there is none or it is unknown. */
  readonly nextAttemptAt: Date | null;
  /** null for a mail that was not sent by a job. */
  readonly job: MailJob | null;
};

/** The first part of the key of a mail that was not sent by a job. */
const NO_JOB = 'once';

/** Adds the jobs of mails. A job with several mails is looked up once. */
export async function withJobs(site: Pick<PageContext, 'config' | 'redis' | 'knex'>, rows: readonly DeliveryRow[]) {
  const { config, knex, redis } = site;
  const configured = config.jobs.queues.map((queue) => queue.name);
  const queues = await knownQueues(redis.client, configured).catch(() => undefined);
  const found = new Map<string, Promise<MailJob>>();
  const jobOf = (id: string): Promise<MailJob> => {
    const known = found.get(id);
    if (known) return known;
    const job = queues ? lookUp({ redis: redis.client, knex, queues }, id) : Promise.resolve(unheardOf(id));
    found.set(id, job);
    return job;
  };
  return Promise.all(
    rows.map(async (row): Promise<DeliveryWithJob> => {
      const [id = NO_JOB] = row.key.split('/');
      const job = id === NO_JOB ? null : await jobOf(id);
      const outcome = outcomeOf(row, job);
      return { ...row, outcome, nextAttemptAt: outcome === 'retrying' ? (job?.nextAttemptAt ?? null) : null, job };
    }),
  );
}

async function lookUp(sources: Parameters<typeof findJob>[0], id: string): Promise<MailJob> {
  if (!isRef({ id })) return { id, place: 'gone', href: null, nextAttemptAt: null };
  try {
    const { place, entry } = await findJob(sources, { id });
    const isTimed = place === 'retry' || place === 'scheduled';
    return { id, place, href: entry ? jobPath(entry) : null, nextAttemptAt: (isTimed && entry?.at) || null };
  } catch {
    return unheardOf(id);
  }
}

function unheardOf(id: string): MailJob {
  return { id, place: undefined, href: null, nextAttemptAt: null };
}

function outcomeOf({ state, error }: DeliveryRow, job: MailJob | null): Outcome {
  if (state === 'sent') return error === null ? 'sent' : 'partly';
  if (state === 'claimed') return 'claimed';
  if (job === null || job.place === 'dead' || job.place === 'gone') return 'failed';
  return job.place === undefined ? 'unknown' : 'retrying';
}
