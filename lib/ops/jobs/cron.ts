import cronstrue from 'cronstrue';
import 'cronstrue/locales/ko';
import { UserError } from '../../core/errors';
import type { JobAdmin } from '../../job/admin/job-admin';
import { cronJson } from '../../job/admin/job-json';
import type { CronListing } from '../../job/cron/cron-table';
import type { SetName } from '../../job/sets/entry';
import { jobPath } from '../ui/format';
import type { OpsContext } from '../ui/page-types';
import { localizedProblem } from '../ui/shell';
import { type JobPageContext, type RouteModule, readBack, showOutcome, showPage } from './page-context';

const LIST = '/ops/jobs/cron';

export const cronRoutes: RouteModule = (site) => {
  const { router } = site;

  router.get(LIST, async (ctx) => {
    const cron = await cronRows(site, ctx);
    const locals = { title: ctx.state.t('jobs.cron.title'), cron };
    await showPage(site, ctx, 'cron', locals, { cron: cron.map(cronRowJson) });
  });

  // A recurring job that was declared at run time is nowhere else, so ask first.
  router.get(`${LIST}/:name/forget`, async (ctx) => {
    const { t } = ctx.state;
    const { name = '' } = ctx.params;
    const found = (await site.admin(ctx).cron.list()).find((one) => one.name === name);
    if (!found) throw gone(name);
    await showPage(site, ctx, 'delete-one', {
      title: t('jobs.cron.forget.question'),
      cost: t('jobs.cron.forget.cost'),
      go: t('jobs.cron.actions.forget'),
      name,
      job: null,
      spec: found.spec,
      target: `${LIST}/${encodeURIComponent(name)}/forget`,
      back: LIST,
      current: 'cron',
    });
  });

  for (const what of ['trigger', 'pause', 'resume', 'forget'] as const) {
    router.post(`${LIST}/:name/${what}`, async (ctx) => {
      const { name = '' } = ctx.params;
      await site
        .admin(ctx)
        .cron.act(what, name)
        .catch((error: unknown) => {
          throw error instanceof UserError ? gone(name) : error;
        });
      showOutcome(ctx, readBack(ctx, LIST), { what: `cron.${what}`, name });
    });
  }
};

function gone(name: string): Error {
  return localizedProblem(404, 'cronGone', { values: { name } });
}

interface CronRow extends CronListing {
  /** The schedule in words; null for an expression without such a form. */
  readonly when: string | null;
  /** The place of the job enqueued last; null when it is in no set. */
  readonly last: { readonly place: SetName; readonly attempts: number; readonly href: string } | null;
}

export function cronRowJson({ when, last, ...listed }: CronRow): object {
  return { ...cronJson(listed), when, last };
}

/** Recurring jobs with the place of the latest run. @throws the error of Postgres when it is down. */
export async function cronRows(site: JobPageContext, ctx: OpsContext): Promise<CronRow[]> {
  const admin = site.admin(ctx);
  const listed = await admin.cron.list();
  return Promise.all(
    listed.map(async (one) => ({
      ...one,
      when: inWords(one.spec, ctx.state.locale),
      last: one.lastEnqueuedId === null ? null : await lastJob(admin, one.lastEnqueuedId),
    })),
  );
}

async function lastJob(admin: JobAdmin, id: string): Promise<CronRow['last']> {
  const { place, entry } = await admin.find(id);
  if (!entry || place === 'gone') return null;
  return { place, attempts: entry.attempts, href: jobPath(entry) };
}

function inWords(spec: string, locale: string): string | null {
  try {
    return cronstrue.toString(spec, { locale, use24HourTimeFormat: true, throwExceptionOnParseError: true });
  } catch {
    return null;
  }
}
