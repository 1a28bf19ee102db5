import { type ProcessorStats, reported, type TreeStats, type WorkerStats } from '../cluster/status';
import { servingWorkers, unresponsiveMs } from '../health/issues';
import { formatSpan } from '../support/duration';
import { megabytes, percent, UNKNOWN } from '../support/figures';
import { table } from '../support/text-table';

const COLUMNS = ['slot', 'pid', 'phase', 'state', 'busy', 'waiting', 'requests', 'lag p99', 'memory', 'restarts'];

/** The text that `catamount stats` prints without `--json`. */
export function statsText(stats: TreeStats): string {
  const { versions, pid, phase, workers, oldWorkers } = stats;
  const up = formatSpan(Date.now() - Date.parse(stats.startedAt));
  const old = oldWorkers > 0 ? `, ${oldWorkers} of an older phase` : '';
  const lines = [
    `Catamount ${versions.catamount} on Node.js ${versions.node}: pid ${pid}, up ${up}${versions.release ? `, release ${versions.release}` : ''}`,
    `Workers: ${servingWorkers(stats)} of ${workers} ready, phase ${phase}${old}`,
  ];
  if (stats.workerStatus.length > 0) lines.push('', ...table([COLUMNS, ...stats.workerStatus.map(workerRow)]), '');
  lines.push(`Jobs:    ${processorLine(stats.jobProcessor)}`);
  if (stats.otherJobProcessor) lines.push(`         ${processorLine(stats.otherJobProcessor)}`);
  lines.push(`Memory:  ${memoryLine(stats.memory)}`);
  lines.push(`Phased:  ${phaseLine(stats.lastPhase)}`);
  return `${lines.join('\n')}\n`;
}

function workerRow(worker: WorkerStats): string[] {
  const { index, pid, phase, restarts } = worker;
  const status = reported(worker.lastStatus);
  const reasons = Object.entries(restarts).map(([reason, count]) => `${count} ${reason}`);
  return [
    String(index),
    String(pid),
    String(phase),
    stateOf(worker),
    status ? `${status.busyThreads}/${status.maxThreads}` : UNKNOWN,
    status ? String(status.backlog) : UNKNOWN,
    status ? String(status.requestsCount) : UNKNOWN,
    lag(status),
    megabytes(worker.pssMb ?? status?.rssMb),
    reasons.join(', ') || '0',
  ];
}

/** A process whose event loop is blocked is in the state that it reported last. */
export function stateOf(child: Pick<ProcessorStats | WorkerStats, 'state' | 'lastCheckin' | 'heartbeatAgeMs'>): string {
  return unresponsiveMs(child) === null ? child.state.replace('_', ' ') : 'unresponsive';
}

function processorLine(processor: ProcessorStats): string {
  if (processor.pid === null) return stateOf(processor);
  const status = reported(processor.lastStatus);
  const parts = [`pid ${processor.pid}`, stateOf(processor)];
  if (status) parts.push(`${status.inFlight.length} running`, `lag p99 ${lag(status)}`);
  parts.push(`memory ${megabytes(processor.pssMb ?? status?.rssMb)}`, `restarts ${processor.restarts}`);
  return parts.join(', ');
}

function memoryLine({ pssMb, limitMb }: TreeStats['memory']): string {
  if (limitMb === null) return `${megabytes(pssMb)}, no limit`;
  const share = pssMb === null ? '' : ` (${percent(pssMb / limitMb)})`;
  return `${megabytes(pssMb)} of ${limitMb} MB${share}`;
}

function phaseLine(phase: TreeStats['lastPhase']): string {
  if (phase === null) return 'no restart yet';
  const end = phase.completed ? 'completed' : 'aborted';
  return `restart to phase ${phase.phase} ${end}${phase.reason === null ? '' : `: ${phase.reason}`}`;
}

function lag(status: { readonly lagP99Ms: number } | undefined): string {
  return status ? `${Math.round(status.lagP99Ms)} ms` : UNKNOWN;
}
