import type { JobAdmin } from '../../job/admin/job-admin';
import type { SetName } from '../../job/sets/entry';
import { snakeCase } from '../../support/snake-case';
import { readFilters } from '../jobs/filters';
import { findJobPath, findPlaces } from '../jobs/find';
import { type JobView, pageJson, showJob } from '../jobs/job-view';
import { type JobPageContext, jobPageContext, sharedLocals } from '../jobs/page-context';
import { Deliveries, type DeliveryFilter } from '../mail/deliveries';
import { DELIVERIES, deliveryPath } from '../mail/deliveries-page';
import { withJobs } from '../mail/deliveries-with-jobs';
import type { OpsContext, PageModule } from '../ui/page-types';
import { type KeptLine, KeptLines } from './kept-lines';
import { ownersOf } from './owners';

const PATH = '/ops/search';
/** Sets without a list of their own that `findPlaces` looks at. */
const UNLISTED: readonly SetName[] = ['active', 'blocked'];
const SHOWN = { jobs: 5, mails: 10, lines: 50 };
const MAX_FAILED = 100;
/** The queue of mails that `deliverLater` enqueues, and their class. */
const MAIL_JOBS = { queue: 'mailer', class: 'catamount.deliver-mail' };

/** One search over jobs, mails and the log: an id leads to its story, an address to its mails. */
export const searchRoutes: PageModule = (site) => {
  const jobSite = jobPageContext(site);
  const kept = new KeptLines(site.knex);

  site.router.get(PATH, async (ctx) => {
    await jobSite.classes.load();
    const { q } = readFilters((name) => ctx.query[name] ?? '', ['q']);
    const { t } = ctx.state;
    if (q === '') return site.layout.show(ctx, 'search/search', { title: t('search.title'), q, found: null });
    const straight = await findJobPath(jobSite, ctx, q);
    if (straight) return ctx.redirect(straight);
    const found = await search(jobSite, kept, ctx, q);
    const { jobs, mails, lines, ...others } = found;
    await site.layout.show(
      ctx,
      'search/search',
      { ...sharedLocals(ctx), title: t('search.titleOf', { text: q }), q, found, mailQueue: MAIL_JOBS.queue },
      { ...snakeCase({ mails, lines, ...others }), jobs: jobs.map(pageJson) },
    );
  });

  site.router.get('/ops/requests', async (ctx) => {
    const failed = await kept.failedRequests(MAX_FAILED);
    const page = { title: ctx.state.t('search.failed'), failed };
    await site.layout.show(ctx, 'search/requests', page, { failed: snakeCase(failed) });
  });
};

async function search(site: JobPageContext, kept: KeptLines, ctx: OpsContext, q: string) {
  const admin = site.admin(ctx);
  const owners = await ownersOf(site.models, site.knex, q);
  const story = await kept.story(q);
  const texts = [q, ...owners.map(({ argument }) => argument)];
  const [found, mails, lines, waitingMails] = await Promise.all([
    Promise.all(texts.map((text) => findJobs(site, admin, text))),
    findMails(site, story, q),
    story.length > 0 ? story : kept.matching(q, SHOWN.lines),
    q.includes('@') ? countUnsent(site, ctx) : 0,
  ]);
  return {
    story: story.length > 0,
    lines,
    jobs: [...new Map(found.flatMap(({ jobs }) => jobs.map((job) => [job.id, job]))).values()],
    places: found[0]?.places ?? [],
    ...mails,
    waitingMails,
    owners: owners.map(({ name }) => name),
  };
}

async function findJobs(site: JobPageContext, admin: JobAdmin, text: string) {
  const [{ places, entries }, ...others] = await Promise.all([
    findPlaces(admin, { text }, `?q=${encodeURIComponent(text)}`, SHOWN.jobs),
    ...UNLISTED.map((name) => admin.set(name).page({ text, limit: SHOWN.jobs, count: false })),
  ]);
  const all = [...others.flatMap((page) => page.entries), ...entries];
  return { places, jobs: all.map((entry): JobView => showJob(entry, site.classes.rules)) };
}

/** Mails with the text, and those of the story's jobs, which are not older than it. */
async function findMails(site: JobPageContext, story: readonly KeptLine[], q: string) {
  const deliveries = new Deliveries(site.knex);
  const since = story[0]?.at ?? new Date();
  const jobIds = new Set(story.flatMap(({ jobId }) => jobId ?? []));
  const filter: DeliveryFilter = { state: null, search: q };
  const [matching, ofJobs] = await Promise.all([
    deliveries.list(filter, 0, SHOWN.mails),
    Promise.all([...jobIds].slice(0, SHOWN.mails).map((id) => deliveries.ofJob(id, since, SHOWN.mails))),
  ]);
  const rows = new Map([...matching, ...ofJobs.flat()].map((row) => [row.key, row]));
  const mails = await withJobs(site, [...rows.values()].slice(0, SHOWN.mails));
  return {
    mails: mails.map((row) => ({ ...row, href: deliveryPath(row) })),
    // All of them are read for a count.
    mailCount: matching.length < SHOWN.mails ? matching.length : await deliveries.count(filter),
    mailsHref: `${DELIVERIES}?q=${encodeURIComponent(q)}`,
  };
}

/** Number of mails of `deliverLater` whose jobs have not begun, so that nobody knows who gets them. */
async function countUnsent(site: JobPageContext, ctx: OpsContext): Promise<number> {
  const sets = ['waiting', 'blocked', 'scheduled'] as const;
  const pages = sets.map((name) => site.admin(ctx).set(name).page({ class: MAIL_JOBS.class, limit: 0 }));
  return (await Promise.all(pages)).reduce((sum, { total = 0 }) => sum + total, 0);
}
