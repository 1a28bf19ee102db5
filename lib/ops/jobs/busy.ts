import { busyJobJson, processJson } from '../../job/admin/job-json';
import { type ListedProcess, UNRESPONSIVE_AFTER_MS } from '../../job/processes/process-list';
import type { RunningJob } from '../../job/processes/running-jobs';
import type { OpsContext } from '../ui/context';
import { jobPath } from '../ui/format';
import { livePage } from '../ui/live-page';
import { type JobView, pageJson, showJob, showValues } from './job-view';
import { type JobPageContext, type RouteModule, sharedLocals } from './page-context';

/** Maximum number of jobs that are shown, the longest running. */
const MAX_SHOWN = 50;

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
  livePage(site, '/ops/jobs/busy', 'jobs/busy', async (ctx) => {
    const admin = site.admin(ctx);
    const [known, running] = await Promise.all([admin.knownProcesses(), admin.running()]);
    const processes = known ?? [];
    const rows = await busyRows(site, ctx, running, processes);
    const locals = {
      ...sharedLocals(ctx),
      title: ctx.state.t('jobs.busy.title'),
      processes,
      isKnown: known !== undefined,
      isOff: site.redis.isOff,
      UNRESPONSIVE_MS: UNRESPONSIVE_AFTER_MS,
      rows,
      places: processes.reduce((sum, process) => sum + process.concurrency, 0),
      taken: running.length,
    };
    return { locals, json: { processes: processes.map(processJson), jobs: rows.map(busyRowJson) } };
  });
};

/** The running jobs, the longest running first. */
async function busyRows(
  site: JobPageContext,
  ctx: OpsContext,
  running: readonly RunningJob[],
  processes: readonly ListedProcess[],
): Promise<BusyRow[]> {
  const rules = site.classes.rules;
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
  return showValues(value, rules)
    .map(({ name, text }) => (name === null ? text : `${name}: ${text ?? '…'}`))
    .join(', ');
}
