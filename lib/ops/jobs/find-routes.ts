import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { type JobPages, type JobSite, showPage } from './job-site';
import { badQuery, readFilters } from './list-query';
import { logLines } from './log-lines';
import { SET_PAGES } from './set-pages';
import { isRef, jobPath } from './shown-job';

const PATH = '/ops/jobs/find';
const LINES = 50;

interface Place {
  /** Of a list; a queue's name where `waiting`. */
  readonly name: string;
  readonly waiting: boolean;
  readonly count: number;
  readonly href: string;
}

/** Where jobs are that hold a text, such as the id of a request, and what the log says of it. */
export const findRoutes: JobPages = (site) => {
  site.router.get(PATH, async (ctx) => {
    assertOperator(ctx);
    const { q } = readFilters((name) => ctx.query[name], ['q']);
    if (q === '') throw badQuery('text', '');
    const found = await jobOf(site, ctx, q);
    if (found) return ctx.redirect(found);
    const { file } = site.config.log;
    const locals = {
      title: ctx.state.t('jobs.find.title', { text: q }),
      text: q,
      places: await placesOf(site, ctx, q),
      file,
      lines: file === null ? [] : await logLines(file, q, LINES).catch(() => []),
    };
    await showPage(site, ctx, 'find', locals, { places: locals.places, lines: locals.lines });
  });
};

/** The page of the job that has this id. */
async function jobOf(site: JobSite, ctx: OpsContext, id: string): Promise<string | undefined> {
  if (!isRef({ id })) return undefined;
  const { entry } = await (await site.desk.sets(ctx)).find(id);
  return entry && jobPath(entry);
}

async function placesOf(site: JobSite, ctx: OpsContext, text: string): Promise<Place[]> {
  const sets = await site.desk.sets(ctx);
  const queues = await site.desk.queues(ctx).names();
  const query = `?q=${encodeURIComponent(text)}`;
  const lists = SET_PAGES.map(async ({ name, set }) => {
    return { name, waiting: false, count: await sets[set].count({ text }), href: `/ops/jobs/${name}${query}` };
  });
  const waiting = queues.map(async (name) => {
    return {
      name,
      waiting: true,
      count: await sets.waiting(name).count({ text }),
      href: `/ops/jobs/queues/${name}${query}`,
    };
  });
  return (await Promise.all([...lists, ...waiting])).filter(({ count }) => count > 0);
}
