import { type FoundPlace, findJob } from '../../job/sets/find-job';
import { isRef } from '../../job/sets/query';
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

/** Adds the jobs of mails. A job with several mails is looked up once. */
export async function withJobs({ knex }: Pick<PageContext, 'knex'>, rows: readonly DeliveryRow[]) {
  const found = new Map<string, Promise<MailJob>>();
  const findOnce = (id: string): Promise<MailJob> => {
    const job = found.get(id) ?? lookUp(knex, id);
    found.set(id, job);
    return job;
  };
  return Promise.all(
    rows.map(async (row): Promise<DeliveryWithJob> => {
      const [id = NO_JOB] = row.key.split('/');
      const job = id === NO_JOB ? null : await findOnce(id);
      const outcome = decideOutcome(row, job);
      return { ...row, outcome, nextAttemptAt: outcome === 'retrying' ? (job?.nextAttemptAt ?? null) : null, job };
    }),
  );
}

async function lookUp(knex: PageContext['knex'], id: string): Promise<MailJob> {
  if (!isRef({ id })) return { id, place: 'gone', href: null, nextAttemptAt: null };
  const { place, entry } = await findJob(knex, { id });
  const isTimed = place === 'retry' || place === 'scheduled';
  return { id, place, href: entry ? jobPath(entry) : null, nextAttemptAt: (isTimed && entry?.at) || null };
}

function decideOutcome({ state, error }: DeliveryRow, job: MailJob | null): Outcome {
  if (state === 'sent') return error === null ? 'sent' : 'partly';
  if (state === 'claimed') return 'claimed';
  if (job === null || job.place === 'dead' || job.place === 'gone' || job.place === 'finished') return 'failed';
  return 'retrying';
}
