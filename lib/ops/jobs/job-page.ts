import { WHOLE } from '../../core/redact';
import type { JobAdmin } from '../../job/admin/job-admin';
import { busyJobJson } from '../../job/admin/job-json';
import type { BusyJob, ProcessInfo } from '../../job/processes/process-list';
import type { JobEntry } from '../../job/sets/entry';
import type { FoundPlace } from '../../job/sets/find-job';
import { isRef } from '../../job/sets/query';
import { snakeCase } from '../../support/snake-case';
import { assertOperator } from '../auth/access';
import { DELIVERIES } from '../mail/deliveries';
import { MAILS_SHOWN, mailsOf } from '../mail/job-mails';
import type { OpsContext } from '../ui/context';
import type { IconName } from '../ui/layout';
import { localizedProblem, reportFailedAction } from '../ui/shell';
import { type JobView, pageJson, type ShownFailure, showFailures, showJob, showValues } from './job-view';
import { watch } from './list';
import { actOnce, type JobPageContext, type RouteModule, showPage } from './page-context';
import { SET_PAGES } from './set-pages';

const PATH = '/ops/jobs/job/:queue/:id';

/** The page of one job, in whichever set it is. */
export const jobPageRoutes: RouteModule = (site) => {
  const { router } = site;

  router.get(PATH, (ctx) => showJobPage(site, ctx));

  router.get(`${PATH}/events`, (ctx) => {
    const { t } = ctx.state;
    const seen = String(ctx.query.seen ?? '');
    watch(site, ctx, async (stream) => {
      const state = stateOf(await find(site, ctx));
      if (state !== seen) stream.sendWhenNew('news', { text: t('jobs.job.moved') });
    });
  });

  router.get(`${PATH}/delete`, async (ctx) => {
    assertOperator(ctx);
    const { t } = ctx.state;
    const { entry, place } = await find(site, ctx);
    if (!entry || place !== 'waiting') throw localizedProblem(409, 'jobsGone');
    const job = showJob(entry, site.classes.rulesFor(ctx));
    await showPage(site, ctx, 'delete-waiting', {
      title: t('jobs.job.deleteWaiting.question'),
      job,
      current: 'queues',
    });
  });

  const asked = reportFailedAction(site, () => ({ command: 'delete jobs', of: 'waiting', count: 1 }));
  router.post(`${PATH}/delete`, asked, async (ctx) => {
    const ref = refOf(ctx);
    const back = `/ops/jobs/queues/${encodeURIComponent(ref.queue)}`;
    const work = async () => ({ what: 'delete', asked: 1, ...(await site.admin(ctx).act('delete', 'waiting', ref)) });
    await actOnce(site, ctx, back, work, true);
  });
};

async function showJobPage(site: JobPageContext, ctx: OpsContext): Promise<void> {
  const place = await find(site, ctx);
  const { entry } = place;
  if (!entry) return showGone(site, ctx);
  const rules = site.classes.rulesFor(ctx);
  const job = showJob(entry, rules, WHOLE);
  const failures = showFailures(entry, rules);
  const running = place.place === 'active' ? await whereItRuns(site.admin(ctx), job) : undefined;
  const page = SET_PAGES.find(({ name }) => name === place.place);
  const limit = site.classes.get(job.class ?? '')?.retry.limit;
  const { locale, attributes } = entry.context;
  const shown = {
    job,
    place: place.place,
    ahead: place.ahead ?? null,
    failures,
    events: timeline({ job, failures, place, running }),
    running: running ?? null,
    progress: entry.progress === undefined ? null : showValues(entry.progress, rules, WHOLE),
    share: typeof entry.progress === 'number' && entry.progress >= 0 && entry.progress <= 1 ? entry.progress : null,
    attributes: attributes === undefined ? [] : showValues(attributes, rules, WHOLE),
    jobLocale: locale ?? null,
    // Its run, or its class's policy, decided that no further attempt can help.
    refused: place.place === 'dead' && !job.killed && diedOfLatestError(entry),
    reason: rules.everything ? (entry.reason ?? null) : null,
    unreadable: entry.unreadable ?? null,
    raw: rules.everything ? (entry.raw ?? null) : null,
    mails: await mailsOf(site, entry, rules),
  };
  const locals = {
    title: job.class ?? ctx.state.t('jobs.unnamed'),
    ...shown,
    page,
    actions: page ? page.actions : [],
    runs: limit === undefined || !Number.isFinite(limit) ? null : limit + 1,
    everything: rules.everything,
    mailsShown: MAILS_SHOWN,
    mailsHref: `${DELIVERIES}?q=${encodeURIComponent(job.id)}`,
    current: page?.name ?? (place.place === 'active' ? 'busy' : 'queues'),
    live: `${ctx.path}/events?seen=${stateOf(place)}`,
  };
  await showPage(site, ctx, 'job', locals, {
    ...pageJson(job),
    ahead: shown.ahead,
    running: running ? busyJobJson(running.job, running.process) : null,
    raw: shown.raw,
    mails: snakeCase(shown.mails ?? null),
  });
}

async function showGone(site: JobPageContext, ctx: OpsContext): Promise<void> {
  ctx.status = 404;
  if (ctx.state.json) throw localizedProblem(404, 'jobGone');
  await showPage(site, ctx, 'job-gone', {
    title: ctx.state.t('jobs.job.gone.title'),
    ...refOf(ctx),
    mailsHref: ctx.state.visitor.role === 'operator' ? `${DELIVERIES}?q=${encodeURIComponent(refOf(ctx).id)}` : null,
    current: undefined,
  });
}

function find(site: JobPageContext, ctx: OpsContext): Promise<FoundPlace> {
  return site.admin(ctx).find(refOf(ctx));
}

/** undefined also while Redis, which has what processors report, does not answer. */
async function whereItRuns({ processes }: JobAdmin, { id, queue }: JobView): Promise<RunningAt | undefined> {
  for (const process of await processes.list().catch(() => [])) {
    const job = process.busy.find((one) => one.id === id && one.queue === queue);
    if (job) return { process, job };
  }
  return undefined;
}

/** True when the job died because of its latest error, not because its attempts were used up. */
function diedOfLatestError({ reason, errors }: JobEntry): boolean {
  return reason !== undefined && reason !== '' && errors[0]?.message.includes(reason) === true;
}

/** A fingerprint that changes with the job's place, attempts and time. */
function stateOf({ place, entry }: FoundPlace): string {
  return `${place}.${entry?.attempts ?? 0}.${entry?.at?.getTime() ?? 0}`;
}

/** The job that the path names. @throws ProblemError 404 for an invalid queue or id. */
function refOf({ params }: OpsContext): { readonly queue: string; readonly id: string } {
  const { queue = '', id = '' } = params;
  if (!isRef({ queue, id })) throw localizedProblem(404, 'jobGone');
  return { queue, id };
}

/** A past or future event of a job. The texts are `jobs.job.event.<what>`. */
export interface JobEvent {
  readonly what: string;
  /** Values for the event's text. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly state: 'ok' | 'busy' | 'warn' | 'bad' | 'unknown';
  readonly icon: IconName;
  readonly at: Date | null;
  /** The error of a failed run. */
  readonly failure?: ShownFailure;
}

export interface RunningAt {
  readonly process: Pick<ProcessInfo, 'host' | 'pid'>;
  readonly job: BusyJob;
}

export interface TimelineParts {
  readonly job: JobView;
  readonly failures: readonly ShownFailure[];
  readonly place: FoundPlace;
  readonly running: RunningAt | undefined;
}

/** All known events of a job, the newest first. */
export function timeline(parts: TimelineParts): JobEvent[] {
  const { job, failures } = parts;
  const events = [...latest(parts), ...failures.map((failure, index) => failed(job, failure, index))];
  // The record keeps only the latest errors, so earlier runs are summed up in one event.
  const oldest = attemptOf(job, failures, failures.length - 1);
  if (failures.length > 0 && oldest > 1) {
    events.push({ what: 'earlier', values: { count: oldest - 1 }, state: 'unknown', icon: 'more', at: null });
  }
  const { requestId } = job;
  events.push({ what: 'enqueued', values: { requestId }, state: 'ok', icon: 'ok', at: job.enqueuedAt });
  return events;
}

/** The job's current state as an event; none for a dead job whose last failed run already is one. */
function latest({ job, place, failures, running }: TimelineParts): JobEvent[] {
  const next = { count: job.attempts + 1 };
  const event = (what: string, state: JobEvent['state'], icon: IconName, at = job.at, values: object = next) => [
    { what, values: { ...values }, state, icon, at },
  ];
  switch (place.place) {
    case 'dead':
      if (job.killed) return event('killed', 'bad', 'bad');
      return failures.length === 0 ? event('died', 'bad', 'bad') : [];
    case 'retry':
      return event('next', 'unknown', 'restart');
    case 'scheduled':
      return event('due', 'unknown', 'more');
    case 'waiting':
      return event('waiting', 'unknown', 'more', job.at, { count: place.ahead ?? 0, queue: job.queue });
    case 'blocked':
      return event('blocked', 'unknown', 'more');
    case 'active': {
      const { host, pid } = running?.process ?? {};
      const at = running ? new Date(running.job.startedAt) : null;
      return event(running ? 'running' : 'fetched', 'busy', 'deploy', at, { ...next, host, pid });
    }
    default:
      return [];
  }
}

function failed(job: JobView, failure: ShownFailure, index: number): JobEvent {
  const { run } = failure;
  const died = index === 0 && job.set === 'dead' && !job.killed;
  return {
    what: died ? 'diedOf' : 'failed',
    values: {
      count: run?.attempt ?? Math.max(1, job.attempts - index),
      ms: run?.ms ?? null,
      host: run?.host,
      pid: run?.pid,
    },
    state: died ? 'bad' : 'warn',
    icon: died ? 'bad' : 'warn',
    at: run ? new Date(run.at) : died ? job.at : null,
    failure,
  };
}

function attemptOf(job: JobView, failures: readonly ShownFailure[], index: number): number {
  return failures[index]?.run?.attempt ?? job.attempts - index;
}
