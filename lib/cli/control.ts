import { ask } from '../cluster/control/client';
import {
  parseArguments,
  readTree,
  type StatusJson,
  TREE_COMMANDS,
  type TreeCommand,
} from '../cluster/control/commands';
import { RunningTree, type TreeFlags } from '../cluster/control/running-tree';
import { goneWithin } from '../cluster/control/state-file';
import type { ProcessStacks, TreeStats } from '../cluster/status';
import { surplusWord } from '../core/command-line';
import { EXIT, UserError } from '../core/errors';
import { OVERDUE_EXIT_MS } from '../core/shutdown';
import { judgementJson } from '../health/judge';
import { Deadline } from '../support/deadline';
import { camelCase } from '../support/snake-case';
import type { ProfileFlags } from './profile';
import { stacksText } from './stacks-text';
import { statsText } from './stats-text';

/**
 * Sends one command to the running tree, waits until it is done, and prints the reply.
 * @throws UserError for an unknown command, or if no tree runs or the tree rejects the command.
 */
export async function control(words: readonly string[], flags: TreeFlags & ProfileFlags): Promise<void> {
  // The reader of a pipe may close it early: catamount stats | head
  process.stdout.on('error', () => undefined);
  const command = await commandNamed(words);
  const given = words.slice(command.name.split(' ').length);
  const args = command.options ? [] : readArgs(command, given);
  const tree = RunningTree.find(flags);
  const send = async (name: TreeCommand, values: readonly number[]) =>
    ask(tree.address, name, values).catch((error: unknown) => {
      throw tree.explain(error);
    });
  if (command.options) return (await import('./profile')).printProfile(command, given, flags, send);
  const answer = await send(command, args);
  if (command.final) await untilGone(answer);
  if (command.name === 'status') return printStatus(tree, answer as unknown as StatusJson, flags.json === true);
  process.stdout.write(flags.json ? `${JSON.stringify(answer, null, 2)}\n` : text(command, answer));
}

/** @throws UserError, which says what may have been meant, when the words do not begin with the name of a command. */
export async function commandNamed(words: readonly string[]): Promise<TreeCommand> {
  const command = TREE_COMMANDS.find(({ name }) => name.split(' ').every((word, i) => word === words[i]));
  if (!command) throw (await import('./help')).noCommand(words.join(' '));
  return command;
}

function readArgs(command: TreeCommand, given: readonly string[]): readonly number[] {
  const surplus = given.slice(1);
  if (surplus.length > 0) throw surplusWord(command.name, surplus.join(' '));
  return parseArguments(command, given);
}

async function untilGone({ pid, shutdown_timeout_ms: timeoutMs }: Readonly<Record<string, unknown>>): Promise<void> {
  const limitMs = Number(timeoutMs) + OVERDUE_EXIT_MS;
  if (await goneWithin(Number(pid), Deadline.after(limitMs))) return;
  throw new UserError(`pid ${pid} is still running after ${limitMs / 1000} s.`);
}

function text(command: TreeCommand, answer: Readonly<Record<string, unknown>>): string {
  if (command.name === 'stats') return statsText(camelCase(answer) as TreeStats);
  if (command.name === 'stacks') return stacksText(camelCase(answer.stacks) as readonly ProcessStacks[]);
  if (command.final) return `Stopped: pid ${answer.pid} is gone.\n`;
  if (typeof answer.workers === 'number') return `Workers: ${answer.workers}\n`;
  const remark = answer.warning ?? command.remark;
  return `${command.name}: done${remark === undefined ? '' : `; ${remark}`}\n`;
}

/** Exit codes of `status`; 1 is that of a command that fails, as here one that could not read everything. */
const EXIT_BY_LEVEL = { ok: EXIT.ok, busy: EXIT.ok, warn: 2, bad: 3 } as const;

async function printStatus(tree: RunningTree, summary: StatusJson, json: boolean): Promise<void> {
  const [{ HealthReader }, { readJudgement, statusLines }] = await Promise.all([
    import('./health-reader'),
    import('./status-text'),
  ]);
  const treeStatus = readTree({ ...summary });
  const reader = new HealthReader(tree.cwd);
  const health = await reader.read(treeStatus);
  await reader.stop();
  const judgement = readJudgement(health.systemStatus, treeStatus);
  const { level } = judgement;
  const lines = statusLines(treeStatus, health, new Date());
  const text = json ? JSON.stringify({ ...summary, ...judgementJson(judgement) }, null, 2) : lines.join('\n');
  await new Promise<void>((resolve) => process.stdout.write(`${text}\n`, () => resolve()));
  // A request to Redis or Postgres may still be open, but nobody needs its reply any more.
  process.exit(judgement.transit === 'notAllKnown' && level === 'busy' ? EXIT.failed : EXIT_BY_LEVEL[level]);
}
