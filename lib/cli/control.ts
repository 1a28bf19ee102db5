import { ask } from '../cluster/control/client';
import { COMMANDS, type Command, parseArgument, readTree, type StatusJson } from '../cluster/control/commands';
import { RunningTree, type TreeFlags } from '../cluster/control/running-tree';
import { goneWithin } from '../cluster/control/state-file';
import { type ProcessorStats, reported, type TreeStats, type WorkerStats, type WorkerStatus } from '../cluster/status';
import { surplusWord } from '../core/command-line';
import { EXIT, UserError } from '../core/errors';
import { OVERDUE_EXIT_MS } from '../core/shutdown';
import { judgementJson } from '../health/judge';
import { Deadline } from '../support/async';
import { formatSpan } from '../support/duration';
import { megabytes, percent, UNKNOWN } from '../support/figures';
import { camelCase } from '../support/snake-case';
import { table } from '../support/text-table';

/**
 * Sends one command to the running tree, waits until it is done, and prints the reply.
 * @throws UserError for an unknown command, or if no tree runs or the tree rejects the command.
 */
export async function control(
  words: readonly string[],
  flags: TreeFlags & { readonly json?: boolean | undefined },
): Promise<void> {
  // The reader of a pipe may close it early: catamount stats | head
  process.stdout.on('error', () => undefined);
  const { command, argument } = await find(words);
  const tree = RunningTree.find(flags);
  const answer = await ask(tree.address, command, argument).catch((error: unknown) => {
    throw tree.explain(error);
  });
  if (command.final) await untilGone(answer);
  if (command.name === 'status') return printStatus(tree, answer as unknown as StatusJson, flags.json === true);
  process.stdout.write(flags.json ? `${JSON.stringify(answer, null, 2)}\n` : text(command, answer));
}

/** @throws UserError, which says what may have been meant, when the words do not begin with the name of a command. */
export async function commandNamed(words: readonly string[]): Promise<Command> {
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, i) => word === words[i]));
  if (!command) throw (await import('./help')).noCommand(words.join(' '));
  return command;
}

async function find(words: readonly string[]): Promise<{ command: Command; argument: number }> {
  const command = await commandNamed(words);
  const [argument, ...more] = words.slice(command.name.split(' ').length);
  if (more.length > 0) throw surplusWord(command.name, more.join(' '));
  return { command, argument: parseArgument(command, argument) };
}

async function untilGone({ pid, shutdown_timeout_ms: timeoutMs }: Readonly<Record<string, unknown>>): Promise<void> {
  const limitMs = Number(timeoutMs) + OVERDUE_EXIT_MS;
  if (await goneWithin(Number(pid), Deadline.after(limitMs))) return;
  throw new UserError(`pid ${pid} is still running after ${limitMs / 1000} s.`);
}

function text(command: Command, answer: Readonly<Record<string, unknown>>): string {
  if (command.name === 'stats') return statsText(camelCase(answer) as TreeStats);
  if (command.final) return `Stopped: pid ${answer.pid} is gone.\n`;
  if (typeof answer.file === 'string') return `${answer.file}\n`;
  if (typeof answer.workers === 'number') return `Workers: ${answer.workers}\n`;
  return `${command.name}: done${command.remark === undefined ? '' : `; ${command.remark}`}\n`;
}

/** Exit codes of `status`; 1 is that of a command that fails, as here one that could not read everything. */
const EXIT_BY_LEVEL = { ok: EXIT.ok, busy: EXIT.ok, warn: 2, bad: 3 } as const;

/** Prints one line that says that the tree runs, then the same judgement of its health as the overview page. */
async function printStatus(tree: RunningTree, summary: StatusJson, json: boolean): Promise<void> {
  const { StoreReader, judgementLines, readJudgement, progressLine } = await import('./top/stores');
  const treeStatus = readTree({ ...summary });
  const reader = new StoreReader(tree.cwd, async () => treeStatus);
  const { systemStatus, trouble } = await reader.read();
  await reader.stop();
  const judgement = readJudgement(systemStatus, treeStatus);
  const { level } = judgement;
  const progress = progressLine(treeStatus, new Date());
  const lines = [
    statusLine(summary),
    ...judgementLines(systemStatus, treeStatus, new Date()).map(({ text }) => text),
    ...(progress === '' ? [] : [progress]),
    ...(trouble === undefined ? [] : [trouble]),
  ];
  const text = json ? JSON.stringify({ ...summary, ...judgementJson(judgement) }, null, 2) : lines.join('\n');
  await new Promise<void>((resolve) => process.stdout.write(`${text}\n`, () => resolve()));
  // A request to Redis or Postgres may still be open, but nobody needs its reply any more.
  process.exit(judgement.transit === 'notAllKnown' && level === 'busy' ? EXIT.failed : EXIT_BY_LEVEL[level]);
}

function statusLine(tree: StatusJson): string {
  const workers = `${tree.booted_workers} of ${tree.workers} workers ready`;
  return `Catamount runs: pid ${tree.pid}, phase ${tree.phase}, ${workers}, job processor ${tree.job_processor}`;
}

const COLUMNS = ['slot', 'pid', 'phase', 'state', 'busy', 'waiting', 'requests', 'lag p99', 'memory', 'restarts'];

/** The text that `catamount stats` prints without `--json`. */
export function statsText(stats: TreeStats, now = Date.now()): string {
  const { versions, pid, phase, workers, bootedWorkers, oldWorkers } = stats;
  const up = formatSpan(now - Date.parse(stats.startedAt));
  const old = oldWorkers > 0 ? `, ${oldWorkers} of an older phase` : '';
  const lines = [
    `Catamount ${versions.catamount} on Node.js ${versions.node}: pid ${pid}, up ${up}`,
    stats.single
      ? `Web:     ${singleLine(stats.single)}`
      : `Workers: ${bootedWorkers} of ${workers} ready, phase ${phase}${old}`,
  ];
  if (stats.workerStatus.length > 0) lines.push('', ...table([COLUMNS, ...stats.workerStatus.map(workerRow)]), '');
  lines.push(`Jobs:    ${processorLine(stats.jobProcessor)}`);
  if (stats.otherJobProcessor) lines.push(`         ${processorLine(stats.otherJobProcessor)}`);
  lines.push(`Memory:  ${memoryLine(stats.memory)}`);
  lines.push(`Phased:  ${phaseLine(stats.lastPhase)}`);
  return `${lines.join('\n')}\n`;
}

/** For a tree without workers, in which the primary serves the web itself. */
function singleLine(status: WorkerStatus): string {
  const { busyThreads: busy, maxThreads: slots, backlog, requestsCount: requests } = status;
  return `in the primary, ${busy}/${slots} busy, ${backlog} waiting, ${requests} requests, lag p99 ${lag(status)}`;
}

function workerRow(worker: WorkerStats): string[] {
  const { index, pid, phase, state, restarts } = worker;
  const status = reported(worker.lastStatus);
  const reasons = Object.entries(restarts).map(([reason, count]) => `${count} ${reason}`);
  return [
    String(index),
    String(pid),
    String(phase),
    state,
    status ? `${status.busyThreads}/${status.maxThreads}` : UNKNOWN,
    status ? String(status.backlog) : UNKNOWN,
    status ? String(status.requestsCount) : UNKNOWN,
    lag(status),
    megabytes(worker.pssMb ?? status?.rssMb),
    reasons.join(', ') || '0',
  ];
}

function processorLine(processor: ProcessorStats): string {
  if (processor.pid === null) return processor.state;
  const status = reported(processor.lastStatus);
  const parts = [`pid ${processor.pid}`, processor.state];
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
