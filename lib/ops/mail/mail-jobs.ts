import { knownQueues } from '../../job/queue/queue-status';
import { type FoundPlace, findJob } from '../../job/sets/find-job';
import { isRef } from '../../job/sets/query';
import type { PageContext } from '../ui/context';
import { jobPath } from '../ui/format';

import type { DeliveryRow } from './deliveries';

/**
 * What became of a mail. `partly`: refused for some. `retrying`: it failed, and its job will send it again by itself.
 * `unknown`: it failed, and Redis does not tell of its job. The texts are `mail.outcome.<outcome>`.
 */
export type Outcome = 'sent' | 'partly' | 'claimed' | 'failed' | 'retrying' | 'unknown';

/** The job of a mail, as far as it matters to the mail. */
export interface MailJob {
  readonly id: string;
  /** undefined: Redis does not answer. */
  readonly place: FoundPlace['place'] | undefined;
  /** Its page; null: it is not known any more. */
  readonly href: string | null;
  /** When it runs next, where that is known. */
  readonly nextTry: Date | null;
}

/** A mail with what its job tells of it. */
export type ToldDelivery = DeliveryRow & {
  readonly outcome: Outcome;
  /** When it is sent again; null when nobody knows, or nobody does. */
  readonly nextTry: Date | null;
  /** null: it was not sent by a job. */
  readonly job: MailJob | null;
};

/** Outside of jobs, keys begin with this. */
const NO_JOB = 'once';

/** Looks up the jobs of these mails. A job that is asked for by several is looked up once. */
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
    rows.map(async (row): Promise<ToldDelivery> => {
      const [id = NO_JOB] = row.key.split('/');
      const job = id === NO_JOB ? null : await jobOf(id);
      const outcome = outcomeOf(row, job);
      return { ...row, outcome, nextTry: outcome === 'retrying' ? (job?.nextTry ?? null) : null, job };
    }),
  );
}

async function lookUp(sources: Parameters<typeof findJob>[0], id: string): Promise<MailJob> {
  if (!isRef({ id })) return { id, place: 'gone', href: null, nextTry: null };
  try {
    const { place, entry } = await findJob(sources, { id });
    const isTimed = place === 'retry' || place === 'scheduled';
    return { id, place, href: entry ? jobPath(entry) : null, nextTry: (isTimed && entry?.at) || null };
  } catch {
    return unheardOf(id);
  }
}

function unheardOf(id: string): MailJob {
  return { id, place: undefined, href: null, nextTry: null };
}

function outcomeOf({ state, error }: DeliveryRow, job: MailJob | null): Outcome {
  if (state === 'sent') return error === null ? 'sent' : 'partly';
  if (state === 'claimed') return 'claimed';
  if (job === null || job.place === 'dead' || job.place === 'gone') return 'failed';
  return job.place === undefined ? 'unknown' : 'retrying';
}
