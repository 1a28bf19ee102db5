import fs from 'node:fs/promises';
import type { JobAdmin } from '../../job/admin/job-admin';
import type { JobFilter } from '../../job/sets/query';
import { isRef } from '../../job/sets/query';
import { assertOperator } from '../auth/access';
import type { OpsContext } from '../ui/context';
import { jobPath } from '../ui/format';
import { badQuery, readFilters } from './filters';
import { type JobPageContext, type RouteModule, showPage } from './page-context';
import { SET_PAGES } from './set-pages';

const PATH = '/ops/jobs/find';
const LINES = 50;

/** Finds jobs that contain a text, such as a request id, and the log lines with it. */
export const findRoutes: RouteModule = (site) => {
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
      places: await placesOf(site.admin(ctx), { text: q }, `?q=${encodeURIComponent(q)}`),
      file,
      lines: file === null ? [] : await logLines(file, q, LINES).catch(() => []),
    };
    await showPage(site, ctx, 'find', locals, { places: locals.places, lines: locals.lines });
  });
};

/** Path of the page of the job with this id; undefined when there is none. */
async function jobOf(site: JobPageContext, ctx: OpsContext, id: string): Promise<string | undefined> {
  if (!isRef({ id })) return undefined;
  const { entry } = await site.admin(ctx).find(id);
  return entry && jobPath(entry);
}

/** Maximum number of bytes that are read from the end of a log. */
const LOOKED_AT = 16 * 1024 * 1024;
const CHUNK = 256 * 1024;
const LINE_LENGTH = 4000;

/** The latest lines of a log that contain a text, the oldest first. @param most maximum number of lines. */
export async function logLines(file: string, text: string, most: number): Promise<string[]> {
  const handle = await fs.open(file);
  try {
    const { size } = await handle.stat();
    const found: string[] = [];
    // The end of a line that begins in the chunk before, since the log is read backwards.
    let rest = Buffer.alloc(0);
    for (let end = size; end > 0 && found.length < most && size - end < LOOKED_AT; end -= CHUNK) {
      const start = Math.max(0, end - CHUNK);
      const chunk = Buffer.alloc(end - start);
      await handle.read(chunk, 0, chunk.length, start);
      const whole = Buffer.concat([chunk, rest]);
      const newline = whole.indexOf(10);
      const first = start === 0 ? 0 : newline === -1 ? whole.length : newline + 1;
      rest = whole.subarray(0, first);
      const lines = whole.subarray(first).toString('utf8').split('\n');
      found.unshift(...lines.filter((line) => line.includes(text)).map((line) => line.slice(0, LINE_LENGTH)));
    }
    return found.slice(-most);
  } finally {
    await handle.close();
  }
}

/** A list with jobs that match a filter. */
interface JobPlace {
  /** Name of a set; of a queue when `waiting`. */
  readonly name: string;
  readonly waiting: boolean;
  readonly count: number;
  readonly href: string;
}

/** Lists with jobs that match a filter, sets before queues. @param query the filter as a query, such as `?q=text`. */
export async function placesOf(admin: JobAdmin, filter: JobFilter, query: string): Promise<JobPlace[]> {
  const lists = SET_PAGES.map(async ({ name }) => {
    return {
      name,
      waiting: false,
      count: await admin.set(name).count(filter),
      href: `/ops/jobs/${name}${query}`,
    };
  });
  const waiting = (await admin.queueNames()).map(async (name) => {
    const count = await admin.set('waiting').count({ ...filter, queue: name });
    return { name, waiting: true, count, href: `/ops/jobs/queues/${name}${query}` };
  });
  return (await Promise.all([...lists, ...waiting])).filter(({ count }) => count > 0);
}
