import { UserError } from '../../core/errors';
import { formatDuration, formatSpan } from '../../support/duration';
import { escapeControls } from '../../support/text';
import { table } from '../../support/text-table';
import type { ListedProcess, ProcessorCommand } from '../processes/process-list';
import { processName } from '../processes/process-list';
import type { JobFilter } from '../sets/query';
import type { Answer, JobCommand } from './command';
import { type Desk, unknownName } from './desk';

/** Who shows every second that it lives, and has not for this long, is in trouble, ms. */
const SILENT_MS = 3000;

const PROCESSES_LIST: JobCommand = {
  name: 'processes list',
  operands: [],
  options: [],
  needs: ['redis'],
  help: 'the job processors of every tree on this Redis: host, pid, queues, load',
  prepare: () => async (desk) => listing(desk, await desk.processes.list()),
};

const ORDERS: Readonly<Record<ProcessorCommand, readonly [help: string, done: string]>> = {
  quiet: ['have one of them, wherever it is, take no more jobs', 'is told to take no more jobs'],
  resume: ['have it take jobs again', 'is told to take jobs again'],
  stop: [
    'have it finish, end, and stay away until its own tree is told: catamount jobs resume',
    'is told to finish and end',
  ],
};

export const PROCESSES: readonly JobCommand[] = [
  PROCESSES_LIST,
  ...(Object.keys(ORDERS) as ProcessorCommand[]).map(
    (order): JobCommand => ({
      name: `processes ${order}`,
      operands: [{ name: 'PROCESS' }],
      options: [],
      needs: ['redis'],
      help: ORDERS[order][0],
      prepare:
        ({ operands: [name = ''] }) =>
        async (desk) => {
          const { identity, ...process } = find(await desk.processes.list(), name);
          const told = await desk.processes.send(identity, order);
          if (!told) throw new UserError(`The job processor ${name} has just left.`);
          const shown = processName(process);
          return { json: { process: shown, identity, order }, text: `${shown} ${ORDERS[order][1]}.\n` };
        },
    }),
  ),
];

/** By host and pid, by pid alone, or by identity. @throws UserError when none or several are meant. */
function find(listed: readonly ListedProcess[], name: string): ListedProcess {
  const found = listed.filter((one) => [processName(one), String(one.pid), one.identity].includes(name));
  const [one] = found;
  if (one && found.length === 1) return one;
  if (one) throw new UserError(`${name} may be ${found.map(processName).join(' or ')}: say which one is meant.`);
  throw unknownName('job processor', name, listed.map(processName));
}

function listing(desk: Desk, listed: readonly ListedProcess[]): Answer {
  const heading = ['process', 'app', 'busy', 'memory', 'lag p99', 'up', 'state', 'queues'];
  const rows = listed.map((one) => [
    processName(one),
    escapeControls(one.app),
    `${one.busyCount}/${one.concurrency}`,
    `${Math.round(one.rssMb)} MB`,
    `${Math.round(one.lagP99Ms)} ms`,
    formatSpan(Date.now() - one.startedAt),
    stateOf(one),
    one.queues.join(', '),
  ]);
  return {
    json: { processes: listed.map(jsonOf) },
    text:
      listed.length === 0
        ? 'No job processor is alive.\n'
        : `${table([heading, ...rows], desk.terminal.columns).join('\n')}\n`,
  };
}

function stateOf({ heartbeatAgeMs, stopping, quiet }: ListedProcess): string {
  if (heartbeatAgeMs >= SILENT_MS) return `silent for ${formatDuration(heartbeatAgeMs)}`;
  return stopping ? 'stopping' : quiet ? 'quiet' : 'ready';
}

function jsonOf(one: ListedProcess): object {
  return {
    process: processName(one),
    identity: one.identity,
    tree: one.tree,
    app: one.app,
    version: one.version,
    host: one.host,
    pid: one.pid,
    started_at: new Date(one.startedAt).toISOString(),
    queues: one.queues,
    concurrency: one.concurrency,
    busy: one.busyCount,
    quiet: one.quiet,
    stopping: one.stopping,
    silent_ms: one.heartbeatAgeMs,
    rss_mb: one.rssMb,
    lag_p99_ms: one.lagP99Ms,
    utilization: one.utilization,
    redis_ms: one.redisMs,
  };
}

/** A job that a processor has told it has in hand. */
interface BusyJobShown {
  readonly id: string;
  readonly class: string;
  readonly queue: string;
  readonly set: 'busy';
  /** Of the run, from 1. */
  readonly attempt: number;
  readonly started_at: string;
  /** Host and pid. */
  readonly process: string;
}

/** The longest running first. A processor shows 50 at most. */
export function busyJobs(
  processes: readonly ListedProcess[],
  { queue, class: name }: Pick<JobFilter, 'queue' | 'class'>,
): BusyJobShown[] {
  const queues = queue === undefined ? undefined : [queue].flat();
  const jobs = processes.flatMap((process) => process.busy.map((job) => ({ job, process })));
  return jobs
    .filter(({ job }) => (queues?.includes(job.queue) ?? true) && (name === undefined || job.class === name))
    .sort((a, b) => a.job.startedAt - b.job.startedAt)
    .map(({ job, process }) => ({
      id: job.id,
      class: job.class,
      queue: job.queue,
      set: 'busy',
      attempt: job.attempt,
      started_at: new Date(job.startedAt).toISOString(),
      process: processName(process),
    }));
}
