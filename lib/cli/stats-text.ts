import { type ProcessorStats, type TreeStats, told, type WorkerStats, type WorkerStatus } from '../cluster/stats';
import { elapsed } from '../support/short-time';
import { table } from '../support/text-table';

const COLUMNS = ['slot', 'pid', 'phase', 'state', 'busy', 'waiting', 'requests', 'lag p99', 'memory', 'restarts'];
const UNKNOWN = '–';

/** What `catamount stats` prints for people. */
export function statsText(stats: TreeStats, now = Date.now()): string {
  const { versions, pid, phase, workers, booted_workers, old_workers } = stats;
  const up = elapsed(now - Date.parse(stats.started_at));
  const old = old_workers > 0 ? `, ${old_workers} of an older phase` : '';
  const lines = [
    `Catamount ${versions.catamount} on Node.js ${versions.node}: pid ${pid}, up ${up}`,
    stats.single
      ? `Web:     ${singleLine(stats.single)}`
      : `Workers: ${booted_workers} of ${workers} ready, phase ${phase}${old}`,
  ];
  if (stats.worker_status.length > 0) lines.push('', ...table([COLUMNS, ...stats.worker_status.map(workerRow)]), '');
  lines.push(`Jobs:    ${processorLine(stats.job_processor)}`);
  if (stats.other_job_processor) lines.push(`         ${processorLine(stats.other_job_processor)}`);
  lines.push(`Memory:  ${memoryLine(stats.memory)}`);
  lines.push(`Phased:  ${phaseLine(stats.last_phase)}`);
  return `${lines.join('\n')}\n`;
}

/** Where the primary serves the web itself. */
function singleLine(status: WorkerStatus): string {
  const { busy_threads: busy, max_threads: slots, backlog, requests_count: requests } = status;
  return `in the primary, ${busy}/${slots} busy, ${backlog} waiting, ${requests} requests, lag p99 ${lag(status)}`;
}

function workerRow(worker: WorkerStats): string[] {
  const { index, pid, phase, state, restarts } = worker;
  const status = told(worker.last_status);
  const reasons = Object.entries(restarts).map(([reason, count]) => `${count} ${reason}`);
  return [
    String(index),
    String(pid),
    String(phase),
    state,
    status ? `${status.busy_threads}/${status.max_threads}` : UNKNOWN,
    status ? String(status.backlog) : UNKNOWN,
    status ? String(status.requests_count) : UNKNOWN,
    lag(status),
    megabytes(worker.pss_mb ?? status?.rssMb),
    reasons.join(', ') || '0',
  ];
}

function processorLine(processor: ProcessorStats): string {
  if (processor.state === 'stopped') return 'stopped by order; `catamount jobs resume` starts it again';
  if (processor.pid === null) return processor.state;
  const status = told(processor.last_status);
  const parts = [`pid ${processor.pid}`, processor.state];
  if (status) parts.push(`${status.in_flight.length} running`, `lag p99 ${lag(status)}`);
  parts.push(`memory ${megabytes(processor.pss_mb ?? status?.rssMb)}`, `restarts ${processor.restarts}`);
  return parts.join(', ');
}

function memoryLine({ pss_mb, limit_mb }: TreeStats['memory']): string {
  if (limit_mb === null) return `${megabytes(pss_mb)}, no limit`;
  const share = pss_mb === null ? '' : ` (${Math.round((100 * pss_mb) / limit_mb)} %)`;
  return `${megabytes(pss_mb)} of ${limit_mb} MB${share}`;
}

function phaseLine(phase: TreeStats['last_phase']): string {
  if (phase === null) return 'no restart yet';
  const end = phase.completed ? 'completed' : 'given up';
  return `restart to phase ${phase.phase} ${end}${phase.reason === null ? '' : `: ${phase.reason}`}`;
}

function lag(status: { readonly lagP99Ms: number } | undefined): string {
  return status ? `${Math.round(status.lagP99Ms)} ms` : UNKNOWN;
}

function megabytes(value: number | null | undefined): string {
  return value === null || value === undefined ? UNKNOWN : `${Math.round(value)} MB`;
}
