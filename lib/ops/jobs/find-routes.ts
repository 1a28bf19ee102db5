import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { jobPath } from './job-path';
import { placesOf } from './job-places';
import { type JobPages, type JobSite, showPage } from './job-site';
import { badQuery, readFilters } from './list-query';
import { logLines } from './log-lines';
import { isRef } from './shown-job';

const PATH = '/ops/jobs/find';
const LINES = 50;

/** Where jobs are that hold a text, such as the id of a request, and what the log says of it. */
export const findRoutes: JobPages = (site) => {
  site.router.get(PATH, async (ctx) => {
    assertOperator(ctx);
    const { q } = readFilters((name) => ctx.query[name], ['q']);
    if (q === '') throw badQuery('text', '');
    const found = await jobOf(site, ctx, q);
    if (found) return ctx.redirect(found);
    const { file } = site.config.log;
    const queues = await site.desk.queues(ctx).names();
    const locals = {
      title: ctx.state.t('jobs.find.title', { text: q }),
      text: q,
      places: await placesOf(await site.desk.sets(ctx), queues, { text: q }, `?q=${encodeURIComponent(q)}`),
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
