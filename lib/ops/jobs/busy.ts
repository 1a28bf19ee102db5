import { REPORT_SILENT_MS } from '../../cluster/status';
import { type JobJsonRules, processJson } from '../../job/admin/job-json';
import { type ListedProcess, processName } from '../../job/processes/process-list';
import type { JobEntry } from '../../job/sets/entry';
import { livePage } from '../ui/live-page';
import { type JobView, pageJson, showJob, showValues } from './job-view';
import { type RouteModule, sharedLocals } from './page-context';

/** Maximum number of jobs that are shown, the longest running. */
const MAX_SHOWN = 50;

interface BusyRow {
  readonly job: JobView;
  /** undefined: it is not listed, or there is no Redis. */
  readonly process: ListedProcess | undefined;
  /** The last progress that the job reported, as text, and as a share when it is a number from 0 to 1. */
  readonly progress: string | null;
  readonly share: number | null;
}

export const busyRoutes: RouteModule = (site) => {
  livePage(site, '/ops/jobs/busy', 'jobs/busy', async (ctx) => {
    const admin = site.admin(ctx);
    const [known, { entries, total = 0 }] = await Promise.all([
      admin.knownProcesses(),
      admin.set('active').page({ limit: MAX_SHOWN }),
    ]);
    const processes = known ?? [];
    const rows = entries.map((entry) => busyRow(entry, processes, site.classes.rules));
    const locals = {
      ...sharedLocals(ctx),
      title: ctx.state.t('jobs.busy.title'),
      processes,
      isKnown: known !== undefined,
      isOff: site.redis.isOff,
      REPORT_SILENT_MS,
      rows,
      places: processes.reduce((sum, process) => sum + process.concurrency, 0),
      taken: total,
    };
    return { locals, json: { processes: processes.map(processJson), jobs: rows.map(busyRowJson) } };
  });
};

function busyRow(entry: JobEntry, processes: readonly ListedProcess[], rules: JobJsonRules): BusyRow {
  const { progress: value } = entry;
  const share = typeof value === 'number' && value >= 0 && value <= 1 ? value : null;
  return {
    job: showJob(entry, rules),
    process: processes.find(({ identity }) => identity === entry.identity),
    progress: value === undefined ? null : progressText(value, share, rules),
    share,
  };
}

function busyRowJson({ job, process }: BusyRow): object {
  return { ...pageJson(job), process: process ? processName(process) : null };
}

function progressText(value: unknown, share: number | null, rules: JobJsonRules): string | null {
  if (share !== null) return `${Math.floor(share * 100)} %`;
  return showValues(value, rules)
    .map(({ name, text }) => (name === null ? text : `${name}: ${text ?? '…'}`))
    .join(', ');
}
