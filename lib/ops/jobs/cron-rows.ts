import cronstrue from 'cronstrue';
import 'cronstrue/locales/ko';
import type { CronListing } from '../../job/cron/cron-board';
import type { SetName } from '../../job/set/entry';
import type { JobSets } from '../../job/set/job-sets';
import type { OpsContext } from '../context';
import { jobPath } from './job-path';
import type { JobSite } from './job-site';

export interface CronRow extends CronListing {
  /** When it is due, in words; null for an expression that has none. */
  readonly when: string | null;
  /** Where the job is that was enqueued last, while it is anywhere. */
  readonly last: { readonly place: SetName; readonly attempts: number; readonly href: string } | null;
}

/** Recurring jobs, and what became of their latest. @throws when Postgres does not answer. */
export async function cronRows(site: JobSite, ctx: OpsContext): Promise<CronRow[]> {
  const listed = await site.desk.cron(ctx).list();
  // Without Redis nobody knows where a job is.
  const sets = await site.desk.sets(ctx).catch(() => undefined);
  return Promise.all(
    listed.map(async (one) => ({
      ...one,
      when: inWords(one.spec, ctx.state.locale),
      last: sets && one.lastEnqueuedId !== null ? await lastJob(sets, one.lastEnqueuedId).catch(() => null) : null,
    })),
  );
}

async function lastJob(sets: JobSets, id: string): Promise<CronRow['last']> {
  const { place, entry } = await sets.find(id);
  if (!entry || place === 'unknown') return null;
  return { place, attempts: entry.attempts, href: jobPath(entry) };
}

function inWords(spec: string, locale: string): string | null {
  try {
    return cronstrue.toString(spec, { locale, use24HourTimeFormat: true, throwExceptionOnParseError: true });
  } catch {
    return null;
  }
}
