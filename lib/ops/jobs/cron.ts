import cronstrue from 'cronstrue';
import { UserError } from '../../core/errors';
import { attempt } from '../ui/attempt';
import { localizedProblem } from '../ui/shell';
import { actOnce, backOf, type JobPageContext, type RouteModule, showPage } from './pages';
import 'cronstrue/locales/ko';
import type { JobSets } from '../../job/admin/job-admin';
import type { CronListing } from '../../job/cron/cron-table';
import type { SetName } from '../../job/sets/entry';
import type { OpsContext } from '../ui/context';
import { jobPath } from '../ui/format';

const LIST = '/ops/jobs/cron';

/** What a form may ask for, and what that is called there. */
const ACTS = { run: 'runNow', pause: 'pause', resume: 'resume', forget: 'forget' } as const;

/** Recurring jobs. */
export const cronRoutes: RouteModule = (site) => {
  const { router, desk } = site;

  router.get(LIST, async (ctx) => {
    const cron = await cronRows(site, ctx);
    const locals = { title: ctx.state.t('jobs.cron.title'), cron, everything: ctx.state.visitor.role === 'operator' };
    await showPage(site, ctx, 'cron', locals, { cron });
  });

  for (const what of ['run', 'pause', 'resume', 'forget'] as const) {
    const asked = attempt(site, ({ params }) => ({ command: `${what} recurring job`, of: params.name ?? '' }));
    router.post(`${LIST}/:name/${what}`, asked, async (ctx) => {
      const { name = '' } = ctx.params;
      await actOnce(site, ctx, backOf(ctx, LIST), async () => {
        await desk
          .cron(ctx)
          [ACTS[what]](name)
          .catch((error: unknown) => {
            throw error instanceof UserError ? localizedProblem(404, 'cronGone', { values: { name } }) : error;
          });
        return { what: `cron.${what}`, name };
      });
    });
  }
};

interface CronRow extends CronListing {
  /** When it is due, in words; null for an expression that has none. */
  readonly when: string | null;
  /** Where the job is that was enqueued last, while it is anywhere. */
  readonly last: { readonly place: SetName; readonly attempts: number; readonly href: string } | null;
}

/** Recurring jobs, and what became of their latest. @throws when Postgres does not answer. */
export async function cronRows(site: JobPageContext, ctx: OpsContext): Promise<CronRow[]> {
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
