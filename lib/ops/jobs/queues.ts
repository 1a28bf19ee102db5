import type { OperatorAction } from '../../core/events';
import { slotHolders } from '../../health/probes';
import { queueJson } from '../../job/admin/job-json';
import type { ListedQueue } from '../../job/admin/queues';
import type { ListedProcess } from '../../job/processes/process-list';
import type { RunningJob } from '../../job/processes/running-jobs';
import { InvalidRequestError } from '../../job/sets/query';
import { assertOperator } from '../auth/access';
import type { OpsContext } from '../ui/context';
import { reportFailedAction } from '../ui/error-pages';
import { Formatter } from '../ui/format';
import { Paging, PER_PAGE } from '../ui/paging';
import { localizedProblem } from '../ui/shell';
import { cronRowJson, cronRows } from './cron';
import { isFiltering, jobFilter, readFilters, readPage } from './filters';
import { pageJson, showJob } from './job-view';
import { type Patch, watch } from './list';
import { actOnce, type JobPageContext, pathWith, type RouteModule, readBack, showPage } from './page-context';

const LIST = '/ops/jobs/queues';
const ONE = `${LIST}/:queue`;
/** Outside of LIST, since a queue may have any name. */
const EVENTS = '/ops/jobs/queue-events';
/** Clearing more jobs than this asks the operator to type their number. */
const TYPED_ABOVE = 25;

/** The queues and their waiting jobs. */
export const queueRoutes: RouteModule = (site) => {
  const { router } = site;
  const reportsFailure = (command: OperatorAction) =>
    reportFailedAction(site, ({ params }) => ({ command, of: params.queue ?? '' }));

  router.get(LIST, (ctx) => showQueues(site, ctx));
  router.get(EVENTS, (ctx) => queueEvents(site, ctx));
  router.get(ONE, (ctx) => showWaiting(site, ctx));
  router.get(`${ONE}/clear`, async (ctx) => {
    assertOperator(ctx);
    await askToClear(site, ctx, await readQueue(site, ctx), false);
  });

  for (const what of ['pause', 'resume'] as const) {
    router.post(`${ONE}/${what}`, reportsFailure(`${what} queue`), async (ctx) => {
      const { name } = await readQueue(site, ctx);
      const work = async () => {
        await site.admin(ctx).queues[what](name);
        return { what, name };
      };
      await actOnce(site, ctx, readBack(ctx, LIST), work);
    });
  }

  router.post(`${ONE}/clear`, reportsFailure('clear queue'), async (ctx) => {
    const { form } = ctx.state;
    const queue = await readQueue(site, ctx);
    const expected = Number(form.get('expected'));
    const isCurrent = Number.isSafeInteger(expected) && expected >= jobsIn(queue);
    const typed = expected <= TYPED_ABOVE || form.get('count')?.trim() === String(expected);
    if (!isCurrent || !typed) return askToClear(site, ctx, queue, true);
    await actOnce(site, ctx, `${LIST}/${queue.name}`, async () => {
      return {
        what: 'clear',
        name: queue.name,
        moved: await site.admin(ctx).queues.clear(queue.name),
        asked: expected,
      };
    });
  });
};

async function showQueues(site: JobPageContext, ctx: OpsContext): Promise<void> {
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
    title: ctx.state.t('jobs.queues.title'),
    queues,
    processes,
    redisOff: site.redis.isOff,
    weighted,
    order: config.jobs.queues.map((queue) => queue.name),
    late: queues.filter((queue) => isLate(queue, latencyWarningMs)),
    limitMs: latencyWarningMs,
    isServed: (name: string) => isServed(processes, name),
    holders: (name: string) => formatHolders(ctx, { processes, running }, name),
    cron,
    everything: ctx.state.visitor.role === 'operator',
    live: `${EVENTS}?seen=${encodeURIComponent(queuesFingerprint(queues))}`,
  };
  await showPage(site, ctx, 'queues', locals, {
    queues: queues.map(queueJson),
    cron: cron.map(cronRowJson),
  });
}

/** Updates an open page's numbers in place, and announces when queues were added, removed, paused or resumed. */
function queueEvents(site: JobPageContext, ctx: OpsContext): void {
  const { t } = ctx.state;
  const seen = String(ctx.query.seen ?? '');
  const { count, span } = Formatter.of(ctx);
  watch(site, ctx, async (stream) => {
    const queues = await site.admin(ctx).queues.list();
    const patches = queues.map((queue): Patch => {
      const size = jobsIn(queue);
      const latency = size === 0 ? '–' : span(queue.latencyMs);
      const [active, delayed, dead] = [queue.active, queue.delayed, queue.dead].map(count);
      return { id: `q-${queue.name}`, texts: { size: count(size), latency, active, delayed, dead } as Patch['texts'] };
    });
    stream.sendWhenNew('patch', patches);
    if (queuesFingerprint(queues) !== seen) stream.sendWhenNew('news', { text: t('jobs.changed') });
  });
}

/** A fingerprint of the queues and their pauses. */
function queuesFingerprint(queues: readonly ListedQueue[]): string {
  return queues.map(({ name, paused }) => (paused ? `${name}!` : name)).join();
}

async function showWaiting(site: JobPageContext, ctx: OpsContext): Promise<void> {
  const queue = await readQueue(site, ctx);
  const rules = site.classes.rulesFor(ctx);
  const page = readPage(ctx);
  const allowed = rules.everything ? (['q', 'class', 'tag'] as const) : (['class', 'tag'] as const);
  const filters = readFilters((name) => ctx.query[name], allowed);
  const admin = site.admin(ctx);
  const list = admin.set('waiting');
  const request = { ...jobFilter({ name: 'scheduled' }, filters, Date.now()), limit: PER_PAGE, queue: queue.name };
  let found = await list.page({ ...request, offset: (page - 1) * PER_PAGE });
  const paging = Paging.of(ctx, found.total ?? 0);
  if (found.entries.length === 0 && paging.total > 0) found = await list.page({ ...request, offset: paging.from });
  const rows = found.entries.map((entry) => showJob(entry, rules));
  const [processes, running] = await Promise.all([admin.knownProcesses(), admin.running()]);
  const locals = {
    title: queue.name,
    queue,
    rows,
    paging,
    complete: found.complete,
    filters,
    filtering: isFiltering(filters),
    classes: [...new Set(rows.flatMap((row) => row.class ?? []))].sort(),
    late: isLate(queue, site.config.jobs.latencyWarningMs),
    limitMs: site.config.jobs.latencyWarningMs,
    served: isServed(processes, queue.name),
    holders: formatHolders(ctx, { processes, running }, queue.name),
    everything: rules.everything,
    to: (changes: Readonly<Record<string, string | null>>) => pathWith(ctx, changes),
  };
  await showPage(site, ctx, 'queue', locals, {
    queue: queueJson(queue),
    jobs: rows.map(pageJson),
    total: paging.total,
    complete: found.complete,
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
  await showPage(site, ctx, 'clear', { title, queue, count, typed: count > TYPED_ABOVE, wrong });
}

/** Number of jobs that clearing the queue deletes. */
function jobsIn({ waiting, blocked }: ListedQueue): number {
  return waiting + blocked;
}

function isLate({ latencyMs }: ListedQueue, limitMs: number): boolean {
  return limitMs > 0 && latencyMs > limitMs;
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
