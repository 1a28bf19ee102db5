import { type FoundPlace, type LocatedJob, locateJobs } from '../../job/sets/find-job';
import { jobPath } from '../ui/format';
import type { PageContext } from '../ui/page-types';

import type { DeliveryRow } from './deliveries';

/**
 * Outcome of a mail. `partly`: refused for some recipients. `retrying`: it failed and its job will be retried. The texts are
 * `mail.outcome.<outcome>`.
 */
export type Outcome = 'sent' | 'partly' | 'claimed' | 'failed' | 'retrying';

export interface MailJob {
  readonly id: string;
  readonly place: FoundPlace['place'];
  /** Path of its page; null when it is gone. */
  readonly href: string | null;
  /** Time of its next run; null when it is unknown. */
  readonly nextAttemptAt: Date | null;
}

export type DeliveryWithJob = DeliveryRow & {
  readonly outcome: Outcome;
  /** Time of the next attempt; null when there is none or it is unknown. */
  readonly nextAttemptAt: Date | null;
  /** null for a mail that was not sent by a job. */
  readonly job: MailJob | null;
};

/** The first part of the key of a mail that was not sent by a job. */
const NO_JOB = 'once';

/** Adds the jobs of mails, which are looked up together. */
export async function withJobs({ knex }: Pick<PageContext, 'knex'>, rows: readonly DeliveryRow[]) {
  const idOf = ({ key }: DeliveryRow) => key.split('/')[0] ?? NO_JOB;
  const places = await locateJobs(knex, [...new Set(rows.map(idOf))]);
  return rows.map((row): DeliveryWithJob => {
    const id = idOf(row);
    const job = id === NO_JOB ? null : describeJob(id, places.get(id));
    const outcome = decideOutcome(row, job);
    return { ...row, outcome, nextAttemptAt: outcome === 'retrying' ? (job?.nextAttemptAt ?? null) : null, job };
  });
}

function describeJob(id: string, found: LocatedJob | undefined): MailJob {
  if (!found) return { id, place: 'gone', href: null, nextAttemptAt: null };
  const { place, queue, at } = found;
  const isTimed = place === 'retry' || place === 'scheduled';
  return { id, place, href: jobPath({ id, queue }), nextAttemptAt: isTimed ? at : null };
}

function decideOutcome({ state, error }: DeliveryRow, job: MailJob | null): Outcome {
  if (state === 'sent') return error === null ? 'sent' : 'partly';
  if (state === 'claimed') return 'claimed';
  if (job === null || job.place === 'dead' || job.place === 'gone' || job.place === 'finished') return 'failed';
  return 'retrying';
}
