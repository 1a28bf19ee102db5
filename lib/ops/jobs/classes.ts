import type { JobAdmin } from '../../job/admin/job-admin';
import { threadMb } from '../../job/admin/job-json';
import type { HistorySum } from '../../job/stats/history';
import type { HourCounts } from '../../job/stats/stats-table';
import { snakeCase } from '../../support/snake-case';
import { badQuery } from '../ui/bad-query';
import type { OpsContext } from '../ui/page-types';
import { localizedProblem } from '../ui/shell';
import { findPlaces } from './find';
import { type JobView, showJob } from './job-view';
import { type JobPageContext, type RouteModule, showPage } from './page-context';

const PATH = '/ops/jobs/classes';
const PERIODS = ['hour', 'day', 'threeDays', 'all'] as const;
const HOUR_MS = 3_600_000;
const HOURS = 72;
const MS = { hour: 59 * 60_000, day: 23 * HOUR_MS, threeDays: (HOURS - 1) * HOUR_MS };
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

async function showClass(site: JobPageContext, ctx: OpsContext): Promise<void> {
  const { name = '' } = ctx.params;
  const admin = site.admin(ctx);
  const query = `?class=${encodeURIComponent(name)}`;
  const [failures, runs, hours, { places }, running, ...histories] = await Promise.all([
    Promise.all((['retry', 'dead'] as const).map((set) => admin.set(set).page({ class: name, limit: 1 }))),
    admin.history.lastRuns(name),
    admin.history.hours(name),
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
  const lastError = failures
    .flatMap(({ entries }) => entries.map((entry) => showJob(entry, site.classes.rules)))
    .sort((a, b) => failedAt(b) - failedAt(a))[0];
  const most = Math.max(1, ...hours.map(({ processed, failed }) => processed + failed));
  const chart = { hours: everyHour(hours, most, Date.now()), of: HOURS, most };
  const locals = {
    title: name,
    places,
    running,
    history,
    thread,
    runs,
    chart,
    lastError: lastError ?? null,
    current: 'classes',
  };
  const json = { class: name, running, places, history: snakeCase(history), runs: snakeCase(runs), thread_mb: thread };
  await showPage(site, ctx, 'class', locals, json);
}

/** Time of its latest error, ms since 1970. */
function failedAt({ errors }: JobView): number {
  return errors[0]?.run ? new Date(errors[0].run.at).getTime() : 0;
}

/** Bars of all hours up to now, as shares of `most`. */
function everyHour(hours: readonly HourCounts[], most: number, now: number) {
  const known = new Map(hours.map((hour) => [hour.at.getTime(), hour]));
  return Array.from({ length: HOURS }, (_, index) => {
    const at = now - (now % HOUR_MS) - (HOURS - 1 - index) * HOUR_MS;
    const { processed = 0, failed = 0 } = known.get(at) ?? {};
    return { at: new Date(at), processed, failed, done: processed / most, wrong: failed / most };
  });
}

function readHistory({ history }: JobAdmin, period: Period): Promise<HistorySum> {
  if (period === 'all') return history.totals();
  // The sum includes both its first and its last minute, or hour.
  return history.last(MS[period]);
}
