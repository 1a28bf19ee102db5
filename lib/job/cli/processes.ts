import { UserError } from '../../core/errors';
import { formatDuration, formatSpan } from '../../support/duration';
import { escapeControls } from '../../support/text';
import { table } from '../../support/text-table';
import { processJson } from '../admin/job-json';
import type { ListedProcess, ProcessorCommand } from '../processes/process-list';
import { processName } from '../processes/process-list';
import { type Answer, type CommandContext, type JobCommand, unknownName } from './command';

/** A job processor sends a heartbeat every second, so one without a heartbeat for this long is in trouble. */
const UNRESPONSIVE_AFTER_MS = 3000;

const PROCESSES_LIST: JobCommand = {
  name: 'processes list',
  operands: [],
  options: [],
  needs: 'redis',
  help: 'the job processors of every tree on this Redis: host, pid, queues, load',
  prepare: () => async (context) => listing(context, await context.admin.processes.list()),
};

const COMMANDS: Readonly<Record<ProcessorCommand, readonly [help: string, done: string]>> = {
  quiet: ['make a job processor, wherever it runs, fetch no more jobs', 'was told to fetch no more jobs'],
  resume: ['make it fetch jobs again', 'was told to fetch jobs again'],
  stop: [
    'make it finish its jobs and stay stopped until catamount jobs resume is run on its own tree',
    'was told to finish its jobs and end',
  ],
};

export const PROCESSES: readonly JobCommand[] = [
  PROCESSES_LIST,
  ...(Object.keys(COMMANDS) as ProcessorCommand[]).map(
    (command): JobCommand => ({
      name: `processes ${command}`,
      operands: [{ name: 'PROCESS' }],
      options: [],
      needs: 'redis',
      help: COMMANDS[command][0],
      prepare:
        ({ operands: [name = ''] }) =>
        async ({ admin }) => {
          const found = find(await admin.processes.list(), name);
          const { identity } = found;
          const sent = await admin.processes.send(identity, command);
          if (!sent) throw new UserError(`The job processor ${name} has just ended.`);
          const process = processName(found);
          return { json: { process, identity, command }, text: `${process} ${COMMANDS[command][1]}.\n` };
        },
    }),
  ),
];

/** Finds a process by host and pid, by pid alone, or by identity. @throws UserError if none or several match. */
function find(listed: readonly ListedProcess[], name: string): ListedProcess {
  const found = listed.filter((one) => [processName(one), String(one.pid), one.identity].includes(name));
  const [one] = found;
  if (one && found.length === 1) return one;
  if (one) throw new UserError(`${name} may be ${found.map(processName).join(' or ')}: say which one is meant.`);
  throw unknownName('job processor', name, listed.map(processName));
}

function listing({ terminal }: CommandContext, listed: readonly ListedProcess[]): Answer {
  const heading = ['process', 'app', 'busy', 'rss', 'lag p99', 'up', 'state', 'queues'];
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
    json: { processes: listed.map(processJson) },
    text:
      listed.length === 0
        ? 'No job processor is alive.\n'
        : `${table([heading, ...rows], terminal.columns).join('\n')}\n`,
  };
}

function stateOf({ heartbeatAgeMs, stopping, quiet }: ListedProcess): string {
  if (heartbeatAgeMs >= UNRESPONSIVE_AFTER_MS) return `unresponsive for ${formatDuration(heartbeatAgeMs)}`;
  return stopping ? 'stopping' : quiet ? 'quiet' : 'ready';
}
