import type { HistorySum } from '../../job/history/history-row';
import { type JobPages, type JobSite, showPage } from './job-site';
import { badQuery } from './list-query';

const PATH = '/ops/jobs/classes';
const PERIODS = ['hour', 'day', 'all'] as const;
type Period = (typeof PERIODS)[number];

/** What became of jobs, class by class. */
export const classRoutes: JobPages = (site) => {
  site.router.get(PATH, async (ctx) => {
    const { period: asked = 'hour' } = ctx.query;
    const period = PERIODS.find((each) => each === asked);
    if (!period) throw badQuery('period', String(asked));
    const history = await historyOf(site, period);
    const title = ctx.state.t('jobs.classes.title');
    await showPage(site, ctx, 'classes', { title, period, periods: PERIODS, ...history }, { period, ...history });
  });
};

function historyOf({ desk }: JobSite, period: Period): Promise<HistorySum> {
  if (period === 'all') return desk.history.totals();
  const now = Date.now();
  // Both ends are included.
  const minutes = period === 'hour' ? 59 : 24 * 60 - 1;
  return desk.history.sum(new Date(now - minutes * 60_000), new Date(now));
}
