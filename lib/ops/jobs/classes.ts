import type { JobAdmin } from '../../job/admin/job-admin';
import { threadMb } from '../../job/admin/job-json';
import type { HistorySum } from '../../job/stats/history';
import { snakeCase } from '../../support/snake-case';
import { badQuery } from '../ui/bad-query';
import type { OpsContext } from '../ui/page-types';
import { localizedProblem } from '../ui/shell';
import { findPlaces } from './find';
import { type JobPageContext, type RouteModule, showPage } from './page-context';

const PATH = '/ops/jobs/classes';
const PERIODS = ['hour', 'day', 'all'] as const;
type Period = (typeof PERIODS)[number];

/** Outcomes of jobs by class. */
export const classRoutes: RouteModule = (site) => {
  site.router.get(PATH, async (ctx) => {
    const { period: asked = 'hour' } = ctx.query;
    const period = PERIODS.find((each) => each === asked);
    if (!period) throw badQuery('period', String(asked));
    const history = await readHistory(site.admin(ctx), period);
    const title = ctx.state.t('jobs.classes.title');
    await showPage(
      site,
      ctx,
      'classes',
      { title, period, periods: PERIODS, ...history },
      { period, ...(snakeCase(history) as object) },
    );
  });

  site.router.get(`${PATH}/:name`, (ctx) => showClass(site, ctx));
};

/** The lists with jobs of one class, and the outcomes of its past jobs. */
async function showClass(site: JobPageContext, ctx: OpsContext): Promise<void> {
  const { name = '' } = ctx.params;
  const admin = site.admin(ctx);
  const query = `?class=${encodeURIComponent(name)}`;
  const [places, running, ...histories] = await Promise.all([
    findPlaces(admin, { class: name }, query),
    admin.set('active').count({ class: name }),
    ...PERIODS.map((period) => readHistory(admin, period)),
  ]);
  const history = PERIODS.map((period, index) => {
    return { period, row: histories[index]?.classes.find((row) => row.class === name) ?? null };
  });
  const isKnown = places.length > 0 || running > 0 || history.some(({ row }) => row !== null);
  const jobClass = site.classes.get(name);
  if (!isKnown && !jobClass) throw localizedProblem(404, 'classGone', { values: { name } });
  const thread = threadMb(jobClass);
  const locals = { title: name, places, running, history, thread, current: 'classes' };
  const json = { class: name, running, places, history: snakeCase(history), thread_mb: thread };
  await showPage(site, ctx, 'class', locals, json);
}

function readHistory({ history }: JobAdmin, period: Period): Promise<HistorySum> {
  if (period === 'all') return history.totals();
  // The sum includes both its first and its last minute, or hour.
  return history.last(period === 'hour' ? 59 * 60_000 : 23 * 3_600_000);
}
