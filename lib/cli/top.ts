import { setTimeout as wait } from 'node:timers/promises';
import { ask } from '../cluster/control/client';
import { findCommand, readTree } from '../cluster/control/commands';
import { RunningTree, type TreeFlags } from '../cluster/control/running-tree';
import type { TreeStatus } from '../cluster/status';
import { valueIn } from '../health/status-collector';
import { queueTable } from '../job/cli/queues';
import { rate } from '../support/figures';
import { escapeControls } from '../support/terminal-text';
import { truncate } from '../support/text-table';
import { toError } from '../support/to-error';
import { type Health, HealthReader } from './health-reader';
import { statsText } from './stats-text';
import { statusLines } from './status-text';

/** Time between two pictures, ms. */
const PACE_MS = 1000;
/** Timeout of a status request to the tree, ms. */
const ANSWER_MS = 3000;

/** A terminal, a pipe or a file. */
export interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/**
 * Shows what `status` and `stats` print, and the queues, anew each second, until a signal such as that of Ctrl-C ends the
 * process or the terminal is closed. Into a pipe it prints this once.
 * @throws UserError, exit code 69, if no tree answers at first.
 */
export async function top(flags: TreeFlags, output: Output = process.stdout, paceMs = PACE_MS): Promise<void> {
  const closed = new AbortController();
  // The reader of a pipe may close it early: catamount top | head
  for (const event of ['error', 'close']) output.on(event, () => closed.abort());
  let tree = RunningTree.find(flags);
  let treeStatus = await statusOf(tree);
  const reader = new HealthReader(tree.cwd);
  let lines = picture(treeStatus, await reader.read(treeStatus));
  if (output.isTTY !== true)
    await new Promise<void>((resolve) => output.write(`${lines.join('\n')}\n`, () => resolve()));
  while (output.isTTY === true && !closed.signal.aborted) {
    output.write(redraw(lines, output));
    await wait(paceMs, undefined, { signal: closed.signal }).catch(() => undefined);
    try {
      // A restarted tree has a new token.
      tree = RunningTree.find(flags);
      treeStatus = await statusOf(tree);
      lines = picture(treeStatus, await reader.read(treeStatus));
    } catch (thrown) {
      lines = [`! What follows is out of date, asking again: ${toError(thrown).message}`, '', ...picture(treeStatus)];
    }
  }
  await reader.stop();
}

async function statusOf(tree: RunningTree): Promise<TreeStatus> {
  try {
    return readTree(await ask(tree.address, findCommand('status'), [], ANSWER_MS));
  } catch (thrown) {
    throw tree.explain(thrown);
  }
}

const UNKNOWN_HEALTH: Health = { systemStatus: undefined, trouble: undefined };

function picture(treeStatus: TreeStatus, health = UNKNOWN_HEALTH): string[] {
  const { requestsPerS, shed, serverErrors } = treeStatus.rates;
  const queues = health.systemStatus && valueIn(health.systemStatus.queues);
  return [
    ...statusLines(treeStatus, health, new Date()),
    '',
    ...statsText(treeStatus.stats).trimEnd().split('\n'),
    `Requests: ${rate(requestsPerS)}/s; in the last minute ${shed} shed, ${serverErrors} answered with 5xx`,
    ...(queues ? ['', ...queueTable(queues)] : []),
  ].map(escapeControls);
}

/** Writes over the picture before, from the upper left corner, cut to the terminal's size, and clears what is left of it. */
function redraw(lines: readonly string[], { columns = 80, rows = 24 }: Output): string {
  const shown = lines.slice(0, rows - 1).map((line) => `${truncate(line, columns)}\x1b[K\n`);
  return `\x1b[H${shown.join('')}\x1b[J`;
}
