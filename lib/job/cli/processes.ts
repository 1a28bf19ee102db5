import { formatDuration, formatSpan } from '../../support/duration';
import { escapeControls } from '../../support/text';
import { table } from '../../support/text-table';
import { processJson } from '../admin/job-json';
import { type ListedProcess, processName, UNRESPONSIVE_AFTER_MS } from '../processes/process-list';
import type { JobCommand } from './command';

export const PROCESSES: JobCommand = {
  name: 'processes',
  operands: [],
  options: [],
  needs: 'redis',
  help: 'the job processors of every tree on this Redis: host, pid, queues, load',
  prepare: () => async (context) => {
    const listed = await context.admin.processes();
    const heading = ['process', 'app', 'busy', 'rss', 'lag p99', 'up', 'state', 'queues'];
    const rows = listed.map((process) => [
      processName(process),
      escapeControls(process.app),
      `${process.busyCount}/${process.concurrency}`,
      `${Math.round(process.rssMb)} MB`,
      `${Math.round(process.lagP99Ms)} ms`,
      formatSpan(Date.now() - process.startedAt),
      describeState(process),
      process.queues.join(', '),
    ]);
    return {
      json: { processes: listed.map(processJson) },
      text:
        listed.length === 0
          ? 'No job processor is alive.\n'
          : `${table([heading, ...rows], context.terminal.columns).join('\n')}\n`,
    };
  },
};

function describeState({ heartbeatAgeMs, stopping, quiet }: ListedProcess): string {
  if (heartbeatAgeMs >= UNRESPONSIVE_AFTER_MS) return `unresponsive for ${formatDuration(heartbeatAgeMs)}`;
  return stopping ? 'stopping' : quiet ? 'quiet' : 'ready';
}
