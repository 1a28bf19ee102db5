import { WHOLE } from '../../core/redact';
import type { JobAdmin } from '../../job/admin/job-admin';
import { endingJson, limitJson } from '../../job/admin/job-json';
import { checkReason } from '../../job/definition/cancel-options';
import { retryLimit } from '../../job/definition/options';
import { type ListedProcess, processName } from '../../job/processes/process-list';
import type { JobEntry } from '../../job/sets/entry';
import type { FoundPlace } from '../../job/sets/find-job';
import { isRef } from '../../job/sets/query';
import { snakeCase } from '../../support/snake-case';
import { DELIVERIES } from '../mail/deliveries-page';
import { MAX_MAILS, readMails } from '../mail/mails-of-job';
import { badQuery } from '../ui/bad-query';
import { jobPath } from '../ui/format';
import type { OpsContext } from '../ui/page-types';
import { localizedProblem } from '../ui/shell';
import { pageJson, showFailures, showJob, showValues } from './job-view';
import { type JobPageContext, type RouteModule, showOutcome, showPage } from './page-context';
import { SET_PAGES } from './set-pages';
import { shownArguments } from './shown-arguments';
import { timeline } from './timeline';

const PATH = '/ops/jobs/job/:queue/:id';

export const jobPageRoutes: RouteModule = (site) => {
  const { router } = site;

  router.get(PATH, (ctx) => showJobPage(site, ctx));

  router.get(`${PATH}/delete`, async (ctx) => {
    const { t } = ctx.state;
    const { entry, place } = await find(site, ctx);
    if (!entry || place !== 'waiting') throw localizedProblem(409, 'jobsGone');
    const job = showJob(entry, site.classes.rules);
    await showPage(site, ctx, 'delete-one', {
      title: t('jobs.job.deleteWaiting.question'),
      cost: t('jobs.confirm.delete.cost', { count: 1 }),
      go: t('jobs.confirm.delete.go', { count: 1, n: 1 }),
      name: job.class ?? t('jobs.unnamed'),
      job,
      target: `${job.href}/delete`,
      back: job.href,
      current: 'queues',
    });
  });

  router.get(`${PATH}/cancel`, async (ctx) => {
    const { entry, place } = await find(site, ctx);
    if (!entry || place === 'dead' || place === 'finished') throw localizedProblem(409, 'jobsGone');
    const job = showJob(entry, site.classes.rules);
    const current = place === 'active' ? 'busy' : 'queues';
    await showPage(site, ctx, 'cancel', { title: ctx.state.t('jobs.job.cancel.question'), job, place, current });
  });

  router.post(`${PATH}/cancel`, async (ctx) => {
    const ref = readRef(ctx);
    const outcome = await site.admin(ctx).cancel(ref, { reason: readReason(ctx) });
    const back = outcome === 'requested' ? jobPath(ref) : `/ops/jobs/queues/${encodeURIComponent(ref.queue)}`;
    const what = outcome === 'requested' ? 'cancelRequested' : 'cancel';
    showOutcome(ctx, back, { what, asked: 1, moved: outcome === 'gone' ? 0 : 1 });
  });

  router.post(`${PATH}/delete`, async (ctx) => {
    const ref = readRef(ctx);
    const back = `/ops/jobs/queues/${encodeURIComponent(ref.queue)}`;
    showOutcome(ctx, back, { what: 'delete', asked: 1, ...(await site.admin(ctx).act('delete', 'waiting', ref)) });
  });
};

async function showJobPage(site: JobPageContext, ctx: OpsContext): Promise<void> {
  const place = await find(site, ctx);
  const { entry } = place;
  if (!entry) return showGone(site, ctx);
  const rules = site.classes.rules;
  const job = showJob(entry, rules, WHOLE);
  const ending = endingJson({ args_redacted: job.argsHidden }, place.ending, rules, WHOLE);
  const failures = showFailures(entry);
  const processor = await findProcessor(site.admin(ctx), entry);
  const page = SET_PAGES.find(({ name }) => name === place.place);
  const retry = site.classes.get(job.class ?? '')?.retry;
  const limit = retry && retryLimit(retry);
  const { locale, attributes } = entry.context;
  const shown = {
    job,
    place: place.place,
    ahead: place.ahead ?? null,
    failures,
    events: timeline({ job, failures, place, processor }),
    processor: processor ?? null,
    progress: entry.progress === undefined ? null : showValues(entry.progress, rules, WHOLE),
    share: typeof entry.progress === 'number' && entry.progress >= 0 && entry.progress <= 1 ? entry.progress : null,
    steps: place.steps.map(({ name, at }) => ({ name, at: new Date(at) })),
    ending,
    result: ending && place.ending?.result !== undefined ? shownArguments([ending.result]) : [],
    cancelReason: entry.cancelReason ?? null,
    attributes: attributes === undefined ? [] : showValues(attributes, rules, WHOLE),
    jobLocale: locale ?? null,
    // The job's run, or its class's policy, decided that no further attempt can help.
    refused: place.place === 'dead' && !job.killed && diedOfLatestError(entry),
    reason: entry.reason ?? null,
    unreadable: entry.unreadable ?? null,
    raw: entry.raw ?? null,
    mails: await readMails(site, entry),
  };
  const locals = {
    title: job.class ?? ctx.state.t('jobs.unnamed'),
    ...shown,
    page,
    actions: page ? page.actions : [],
    runs: limit === undefined || !Number.isFinite(limit) ? null : limit + 1,
    mailsShown: MAX_MAILS,
    mailsHref: `${DELIVERIES}?q=${encodeURIComponent(job.id)}`,
    current: page?.name ?? (place.place === 'active' ? 'busy' : 'queues'),
  };
  await showPage(site, ctx, 'job', locals, {
    ...pageJson(job),
    ahead: shown.ahead,
    limit: limitJson({ args_redacted: job.argsHidden }, place.held),
    process: processor ? processName(processor) : null,
    raw: shown.raw,
    steps: shown.steps,
    ending,
    mails: snakeCase(shown.mails ?? null),
  });
}

async function showGone(site: JobPageContext, ctx: OpsContext): Promise<void> {
  ctx.status = 404;
  if (ctx.state.json) throw localizedProblem(404, 'jobGone');
  const { id } = readRef(ctx);
  await showPage(site, ctx, 'job-gone', {
    title: ctx.state.t('jobs.job.gone.title'),
    id,
    mailsHref: `${DELIVERIES}?q=${encodeURIComponent(id)}`,
    current: undefined,
  });
}

function find(site: JobPageContext, ctx: OpsContext): Promise<FoundPlace> {
  return site.admin(ctx).find(readRef(ctx));
}

/** undefined also while Redis, which has the list of processors, does not answer. */
async function findProcessor(admin: JobAdmin, { identity }: JobEntry): Promise<ListedProcess | undefined> {
  if (identity === null) return undefined;
  return (await admin.knownProcesses())?.find((process) => process.identity === identity);
}

/** True when the job died because of its latest error, not because its attempts were used up. */
function diedOfLatestError({ reason, errors }: JobEntry): boolean {
  return reason !== undefined && reason !== '' && errors[0]?.message.includes(reason) === true;
}

/** @throws ProblemError 400 for an invalid reason, which no page sends. */
function readReason({ state }: OpsContext): string {
  const reason = state.form.get('reason')?.trim() ?? '';
  try {
    return checkReason(reason);
  } catch {
    throw badQuery('reason', reason, 'text');
  }
}

/** The job that the path names. @throws ProblemError 404 for an invalid queue or id. */
function readRef({ params }: OpsContext): { readonly queue: string; readonly id: string } {
  const { queue = '', id = '' } = params;
  if (!isRef({ queue, id })) throw localizedProblem(404, 'jobGone');
  return { queue, id };
}
