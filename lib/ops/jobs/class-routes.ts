import type { HistorySum } from '../../job/history/history-row';
import type { OpsContext } from '../context';
import { refusal } from '../page/refusal';
import { placesOf } from './job-places';
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

  site.router.get(`${PATH}/:name`, (ctx) => showClass(site, ctx));
};

/** Where the jobs of one class are, and what became of others. */
async function showClass(site: JobSite, ctx: OpsContext): Promise<void> {
  const { desk } = site;
  const { name = '' } = ctx.params;
  const queues = await desk.queues(ctx).names();
  const query = `?class=${encodeURIComponent(name)}`;
  const [places, processes, ...histories] = await Promise.all([
    placesOf(await desk.sets(ctx), queues, { class: name }, query),
    desk.processes.list(),
    ...PERIODS.map((period) => historyOf(site, period)),
  ]);
  const running = processes.flatMap(({ busy }) => busy.filter((job) => job.class === name)).length;
  const history = PERIODS.map((period, index) => {
    return { period, row: histories[index]?.classes.find((row) => row.class === name) ?? null };
  });
  const isKnown = places.length > 0 || running > 0 || history.some(({ row }) => row !== null);
  if (!isKnown && !site.classes.get(name)) throw refusal(404, 'classGone', { values: { name } });
  const locals = { title: name, places, running, history, current: 'classes' };
  await showPage(site, ctx, 'class', locals, { class: name, running, places, history });
}

function historyOf({ desk }: JobSite, period: Period): Promise<HistorySum> {
  if (period === 'all') return desk.history.totals();
  const now = Date.now();
  // Both ends are included.
  const minutes = period === 'hour' ? 59 : 24 * 60 - 1;
  return desk.history.sum(new Date(now - minutes * 60_000), new Date(now));
}
