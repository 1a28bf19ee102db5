import { busyJobJson, processJson } from '../../job/admin/job-json';
import type { ListedProcess } from '../../job/processes/process-list';
import type { RunningJob } from '../../job/processes/running-jobs';
import type { OpsContext } from '../ui/context';
import { Formatter, jobPath } from '../ui/format';
import { type JobView, pageJson, showJob, showValues } from './job-view';
import { type Patch, watch } from './list';
import { type JobPageContext, type RouteModule, showPage } from './page-context';

const PATH = '/ops/jobs/busy';
/** Maximum number of jobs that are shown, the longest running. */
const MAX_SHOWN = 50;
/** Age of the last heartbeat, ms, from which a job processor counts as unresponsive. One is sent every 1 to 2 s. */
const UNRESPONSIVE_MS = 5000;

interface BusyRow extends RunningJob {
  readonly href: string;
  /** undefined: it is not listed, or there is no Redis. */
  readonly process: ListedProcess | undefined;
  /** undefined when the job has since ended. */
  readonly job: JobView | undefined;
  /** The last progress that the job reported, as text, and as a share when it is a number from 0 to 1. */
  readonly progress: string | null;
  readonly share: number | null;
}

/** The running jobs, with their processes. */
export const busyRoutes: RouteModule = (site) => {
  const { router } = site;

  router.get(PATH, async (ctx) => {
    const admin = site.admin(ctx);
    const [known, running] = await Promise.all([admin.knownProcesses(), admin.running()]);
    const processes = known ?? [];
    const rows = await busyRows(site, ctx, running, processes);
    const locals = {
      title: ctx.state.t('jobs.busy.title'),
      processes,
      isKnown: known !== undefined,
      isOff: site.redis.isOff,
      UNRESPONSIVE_MS,
      rows,
      places: processes.reduce((sum, process) => sum + process.concurrency, 0),
      taken: running.length,
      live: `${PATH}/events?seen=${encodeURIComponent(rows.map(({ id }) => id).join())}`,
    };
    await showPage(site, ctx, 'busy', locals, { processes: processes.map(processJson), jobs: rows.map(busyRowJson) });
  });

  router.get(`${PATH}/events`, (ctx) => {
    const { t } = ctx.state;
    const seen = new Set(String(ctx.query.seen ?? '').split(','));
    watch(site, ctx, async (stream) => {
      const rows = await busyRows(site, ctx, await site.admin(ctx).running());
      const { span } = Formatter.of(ctx);
      const patches: Patch[] = rows.map(({ id, progress, share, startedAt }) => {
        const texts = { progress: progress ?? '–', for: span(Date.now() - startedAt) };
        return { id: `job-${id}`, texts, share };
      });
      const running = new Set(rows.map(({ id }) => id));
      const ended = [...seen].filter((id) => id !== '' && !running.has(id));
      for (const id of ended) patches.push({ id: `job-${id}`, texts: { for: t('jobs.busy.ended') } });
      stream.sendWhenNew('patch', patches);
      const count = rows.filter(({ id }) => !seen.has(id)).length;
      if (count > 0) stream.sendWhenNew('news', { text: t('jobs.news', { count }) });
    });
  });
};

/** The running jobs, the longest running first. */
async function busyRows(
  site: JobPageContext,
  ctx: OpsContext,
  running: readonly RunningJob[],
  processes: readonly ListedProcess[] = [],
): Promise<BusyRow[]> {
  const rules = site.classes.rulesFor(ctx);
  const admin = site.admin(ctx);
  return Promise.all(
    running.slice(0, MAX_SHOWN).map(async (job) => {
      const found = await admin.find(job).catch(() => undefined);
      const entry = found?.place === 'active' ? found.entry : undefined;
      const value = entry?.progress;
      const share = typeof value === 'number' && value >= 0 && value <= 1 ? value : null;
      return {
        ...job,
        href: jobPath(job),
        process: processes.find(({ identity }) => identity === job.identity),
        job: entry && showJob(entry, rules),
        progress: value === undefined ? null : progressText(value, share, rules),
        share,
      };
    }),
  );
}

/** JSON of a row: data of the process and of the job's record. */
function busyRowJson({ job, progress, share, href, process, ...row }: BusyRow): object {
  return { ...busyJobJson(row, process && [process]), href, progress, share, job: job ? pageJson(job) : null };
}

function progressText(value: unknown, share: number | null, rules: Parameters<typeof showValues>[1]): string | null {
  if (share !== null) return `${Math.floor(share * 100)} %`;
  const shown = showValues(value, rules);
  if (shown === null) return null;
  return shown.map(({ name, text }) => (name === null ? text : `${name}: ${text ?? '…'}`)).join(', ');
}
