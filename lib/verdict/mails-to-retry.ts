import type { LivingJobsSources } from '../job/set/living-jobs';

/** Since midnight, UTC, in SQL. */
export const TODAY = `created_at >= date_trunc('day', now() at time zone 'utc') at time zone 'utc'`;
/** Jobs that are asked for at most, those of the newest mails. */
const ASKED_FOR = 1000;

/** How many of today's mails have failed, but will be sent again by their jobs. @throws what Postgres or Redis do. */
export async function countMailsToRetry(sources: LivingJobsSources): Promise<number> {
  const jobs = await sources
    .knex('mail_deliveries')
    .where({ state: 'failed' })
    .whereRaw(TODAY)
    .groupBy('job')
    .select<{ job: string; mails: number }[]>(
      sources.knex.raw(`split_part(key, '/', 1) as job`),
      sources.knex.raw('count(*)::int as mails'),
    )
    .orderByRaw('max(created_at) desc')
    .limit(ASKED_FOR);
  // Loaded where a mail has failed.
  const { comingJobs } = await import('../job/set/living-jobs');
  const coming = await comingJobs(
    sources,
    jobs.map(({ job }) => job),
  );
  return jobs.reduce((sum, { job, mails }) => sum + (coming.has(job) ? mails : 0), 0);
}
