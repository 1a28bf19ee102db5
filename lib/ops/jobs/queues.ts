import { isLate } from '../../health/issues';
import { slotHolders } from '../../health/probes';
import { queueJson } from '../../job/admin/job-json';
import type { ListedQueue } from '../../job/admin/queues';
import type { ListedProcess } from '../../job/processes/process-list';
import type { RunningJob } from '../../job/processes/running-jobs';
import { InvalidRequestError } from '../../job/sets/query';
import { Formatter } from '../ui/format';
import { livePage } from '../ui/live-page';
import type { OpsContext } from '../ui/page-types';
import { Paging, PER_PAGE } from '../ui/paging';
import { localizedProblem } from '../ui/shell';
import { cronRowJson, cronRows } from './cron';
import { isFiltering, jobFilter, readFilters } from './filters';
import { pageJson, showJob } from './job-view';
import {
  type JobPageContext,
  pathWith,
  type RouteModule,
  readBack,
  sharedLocals,
  showOutcome,
  showPage,
} from './page-context';
import { isTyped, mustType } from './set-pages';

const LIST = '/ops/jobs/queues';
const ONE = `${LIST}/:queue`;
/** Outside of LIST, since a queue may have any name. */
const EVENTS = '/ops/jobs/queue-events';

export const queueRoutes: RouteModule = (site) => {
  const { router } = site;

  livePage(site, LIST, 'jobs/queues', (ctx) => lookAtQueues(site, ctx), EVENTS);
  router.get(ONE, (ctx) => showWaiting(site, ctx));
  router.get(`${ONE}/clear`, async (ctx) => {
    await askToClear(site, ctx, await readQueue(site, ctx), false);
  });

  for (const what of ['pause', 'resume'] as const) {
    router.post(`${ONE}/${what}`, async (ctx) => {
      const { name } = await readQueue(site, ctx);
      await site.admin(ctx).queues[what](name);
      showOutcome(ctx, readBack(ctx, LIST), { what, name });
    });
  }

  router.post(`${ONE}/clear`, async (ctx) => {
    const { form } = ctx.state;
    const queue = await readQueue(site, ctx);
    const expected = Number(form.get('expected'));
    const isCurrent = Number.isSafeInteger(expected) && expected >= jobsIn(queue);
    if (!isCurrent || !isTyped('delete', expected, form)) return askToClear(site, ctx, queue, true);
    const { name } = queue;
    const moved = await site.admin(ctx).queues.clear(name);
    showOutcome(ctx, `${LIST}/${name}`, { what: 'clear', name, moved, asked: expected });
  });
};

async function lookAtQueues(site: JobPageContext, ctx: OpsContext) {
  const { config } = site;
  const admin = site.admin(ctx);
  const [queues, processes, running, cron] = await Promise.all([
    admin.queues.list(),
    admin.knownProcesses(),
    admin.running(),
    cronRows(site, ctx),
  ]);
  const { latencyWarningMs, weighted } = config.jobs;
  const locals = {
    ...sharedLocals(ctx),
    title: ctx.state.t('jobs.queues.title'),
    queues,
    processes,
    redisOff: site.redis.isOff,
    weighted,
    order: config.jobs.queues.map((queue) => queue.name),
    late: queues.filter(({ latencyMs }) => isLate(latencyMs, latencyWarningMs)),
    limitMs: latencyWarningMs,
    isServed: (name: string) => isServed(processes, name),
    holders: (name: string) => formatHolders(ctx, { processes, running }, name),
    cron,
  };
  return { locals, json: { queues: queues.map(queueJson), cron: cron.map(cronRowJson) } };
}

async function showWaiting(site: JobPageContext, ctx: OpsContext): Promise<void> {
  const queue = await readQueue(site, ctx);
  const rules = site.classes.rules;
  const filters = readFilters((name) => ctx.query[name], ['q', 'class', 'tag']);
  const admin = site.admin(ctx);
  const list = admin.set('waiting');
  const filter = { ...jobFilter('waiting', filters, Date.now()), queue: queue.name };
  const read = (offset: number) => list.page({ ...filter, offset, limit: PER_PAGE });
  const { entries, complete, paging } = await Paging.read(ctx, read);
  const rows = entries.map((entry) => showJob(entry, rules));
  const [processes, running] = await Promise.all([admin.knownProcesses(), admin.running()]);
  const locals = {
    title: queue.name,
    queue,
    rows,
    paging,
    complete,
    filters,
    filtering: isFiltering(filters),
    classes: [...new Set(rows.flatMap((row) => row.class ?? []))].sort(),
    late: isLate(queue.latencyMs, site.config.jobs.latencyWarningMs),
    limitMs: site.config.jobs.latencyWarningMs,
    served: isServed(processes, queue.name),
    holders: formatHolders(ctx, { processes, running }, queue.name),
    to: (changes: Readonly<Record<string, string | null>>) => pathWith(ctx, changes),
  };
  await showPage(site, ctx, 'queue', locals, {
    queue: queueJson(queue),
    jobs: rows.map(pageJson),
    total: paging.total,
    complete,
  });
}

/** The queue that the path names. @throws ProblemError 404 for an unknown one. */
async function readQueue(site: JobPageContext, ctx: OpsContext): Promise<ListedQueue> {
  const { queue: name = '' } = ctx.params;
  const queues = site.admin(ctx).queues;
  if (!(await queues.names()).includes(name)) throw localizedProblem(404, 'queueGone', { values: { name } });
  const [queue] = await queues.list([name]);
  if (!queue) throw new InvalidRequestError(`there is no queue ${name}`);
  return queue;
}

async function askToClear(site: JobPageContext, ctx: OpsContext, queue: ListedQueue, wrong: boolean): Promise<void> {
  const count = jobsIn(queue);
  if (wrong) ctx.status = 422;
  const title = ctx.state.t('jobs.clear.question', { count, name: queue.name });
  await showPage(site, ctx, 'clear', { title, queue, count, typed: mustType('delete', count), wrong });
}

function jobsIn({ waiting, blocked }: ListedQueue): number {
  return waiting + blocked;
}

interface Work {
  /** undefined while Redis, which lists them, does not answer. */
  readonly processes: readonly ListedProcess[] | undefined;
  readonly running: readonly RunningJob[];
}

/** The jobs that hold the slots the queue waits for, formatted; '' when its jobs only arrive faster than they run. */
function formatHolders(ctx: OpsContext, { processes = [], running }: Work, name: string): string {
  const now = Date.now();
  const serving = processes.filter((process) => !process.stopping && process.queues.includes(name));
  const slots = serving.map(({ identity, concurrency }) => {
    const jobs = running.filter((job) => job.identity === identity);
    return { concurrency, running: jobs.map((job) => ({ class: job.class, ageMs: now - job.startedAt })) };
  });
  return Formatter.of(ctx).holders(slotHolders(slots));
}

/** False only for a queue that no processor is known to serve. */
function isServed(processes: Work['processes'], name: string): boolean {
  return processes === undefined || processes.some((process) => !process.stopping && process.queues.includes(name));
}
