import { setTimeout as wait } from 'node:timers/promises';
import type { TreeStats } from '../cluster/stats';
import type { TreePicture } from '../cluster/tree-picture';
import { ask } from '../control/client';
import { COMMANDS, type Command, parseArgument, type TreeSummary } from '../control/commands';
import { lookAt } from '../control/primary-process';
import { EXIT, UserError } from '../core/errors';
import { Deadline } from '../support/deadline';
import { RunningTree, type TreeFlags } from './running-tree';
import { statsText } from './stats-text';

/** What an ending tree may take above its own deadline, ms. */
const GRACE_MS = 10_000;
const POLL_MS = 25;

/** Has the running tree do what the words say, and prints its answer. */
export async function control(
  words: readonly string[],
  flags: TreeFlags & { readonly json?: boolean | undefined },
): Promise<void> {
  // Whoever reads may have seen enough: catamount stats | head
  process.stdout.on('error', () => undefined);
  const { command, argument } = find(words);
  const tree = RunningTree.find(flags);
  const answer = await ask(tree.address, command, argument).catch((error: unknown) => {
    throw tree.explain(error);
  });
  if (command.final) await untilGone(answer);
  if (command.name === 'status') return tellStatus(tree, answer as unknown as TreeSummary, flags.json === true);
  process.stdout.write(
    flags.json || command.name === 'look' ? `${JSON.stringify(answer, null, 2)}\n` : text(command, answer),
  );
}

function find(words: readonly string[]): { command: Command; argument: number } {
  const command = COMMANDS.find(({ name }) => name.split(' ').every((word, i) => word === words[i]));
  if (!command) throw new UserError(`"${words.join(' ')}" is no command. See catamount help.`, EXIT.usage);
  const [argument, ...more] = words.slice(command.name.split(' ').length);
  if (more.length > 0) throw new UserError(`"${more.join(' ')}" is too much. See catamount help.`, EXIT.usage);
  return { command, argument: parseArgument(command, argument) };
}

async function untilGone({ pid, shutdown_timeout_ms: timeoutMs }: Readonly<Record<string, unknown>>): Promise<void> {
  const limitMs = Number(timeoutMs) + GRACE_MS;
  const deadline = Deadline.after(limitMs);
  while (lookAt(Number(pid)) !== 'gone') {
    if (deadline.expired) throw new UserError(`pid ${pid} still runs after ${limitMs / 1000} s.`);
    await wait(POLL_MS);
  }
}

function text(command: Command, answer: Readonly<Record<string, unknown>>): string {
  if (command.name === 'stats') return statsText(answer as unknown as TreeStats);
  if (command.final) return `Stopped: pid ${answer.pid} is gone.\n`;
  if (typeof answer.file === 'string') return `${answer.file}\n`;
  if (typeof answer.workers === 'number') return `Workers: ${answer.workers}\n`;
  return `${command.name}: done${command.remark === undefined ? '' : `; ${command.remark}`}\n`;
}

/** That it runs, and how it is: the same judgement as on the overview. */
async function tellStatus(tree: RunningTree, summary: TreeSummary, json: boolean): Promise<void> {
  const [{ StoreReader }, { judgementLines, judgementOf }] = await Promise.all([
    import('./top/stores'),
    import('./top/judgement'),
  ]);
  const picture = (await ask(tree.address, find(['look']).command, 0)) as unknown as TreePicture;
  const reader = new StoreReader(tree.cwd, async () => picture);
  const { sighting, trouble } = await reader.read();
  await reader.stop();
  const { level, issues } = judgementOf(sighting, picture);
  const lines = [
    statusLine(summary),
    ...judgementLines(sighting, picture, new Date()).map(({ text }) => text),
    ...(trouble === undefined ? [] : [trouble]),
  ];
  const text = json ? JSON.stringify({ ...summary, level, issues }, null, 2) : lines.join('\n');
  await new Promise<void>((resolve) => process.stdout.write(`${text}\n`, () => resolve()));
  // Something may be asked still: nobody waits for its answer.
  process.exit();
}

function statusLine(tree: TreeSummary): string {
  const workers = `${tree.booted_workers} of ${tree.workers} workers ready`;
  return `Catamount runs: pid ${tree.pid}, phase ${tree.phase}, ${workers}, job processor ${tree.job_processor}`;
}
