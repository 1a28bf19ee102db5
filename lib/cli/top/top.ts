import { setTimeout as wait } from 'node:timers/promises';
import { ask } from '../../cluster/control/client';
import { findCommand, readTree } from '../../cluster/control/commands';
import { RunningTree, type TreeFlags } from '../../cluster/control/running-tree';
import { environment } from '../../core/config';
import type { Environment } from '../../core/settings-reader';
import { Deadline, toError } from '../../support/async';
import { frame } from './frame';
import { RateMeter } from './rates';
import { NO_STORES, StoreReader } from './stores';
import type { Line, Tone, View } from './view';

/** Time between two frames, ms. Rates need two readings, so it is also the pause before the only frame in a pipe. */
const PACE_MS = 1000;
/** Timeout of a status request to the tree, ms. */
const ANSWER_MS = 3000;
/** How long a frame waits for Redis and Postgres, ms: the live one shows the tree even while they do not answer. */
const STORES_MS = { live: 500, piped: 10_000 };
/** Size of a frame if the output is not a terminal. */
const IN_A_PIPE = { columns: 1000, rows: 200 };

/** A terminal, a pipe or a file. */
export interface Output extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Where `top` writes to, and the environment of the shell. */
export interface Stage {
  readonly output: Output;
  readonly env: Environment;
  readonly paceMs?: number;
}

/**
 * Shows the tree live, until a signal such as that of Ctrl-C ends the process, or the terminal is closed. It takes
 * nothing from the terminal that would have to be given back. Into a pipe it prints one frame.
 * @throws UserError if no tree answers.
 */
export async function top(
  flags: TreeFlags,
  { output, env, paceMs = PACE_MS }: Stage = { output: process.stdout, env: environment() },
): Promise<void> {
  const closed = new AbortController();
  // The reader of a pipe may close it early: catamount top | head
  output.on('error', () => closed.abort());
  output.on('close', () => closed.abort());
  const isLive = output.isTTY === true && env.TERM !== 'dumb';
  const readings = await watchTree(flags);
  while (isLive && !closed.signal.aborted) {
    const view = await readings.next(STORES_MS.live);
    const { columns = 80, rows = 24 } = output;
    output.write(redraw(frame(view, { columns, rows: rows - 1 }), !env.NO_COLOR));
    await wait(paceMs, undefined, { signal: closed.signal }).catch(() => undefined);
  }
  if (!isLive) {
    await Promise.all([readings.next(STORES_MS.piped), wait(paceMs)]);
    const lines = frame(await readings.next(STORES_MS.piped), IN_A_PIPE).map(({ text }) => `${text}\n`);
    await new Promise<void>((resolve) => output.write(lines.join(''), () => resolve()));
  }
  await readings.stop();
}

interface Readings {
  /** Reads the tree, and Redis and Postgres, which may be shown as they were at the last reading. */
  next(storesMs: number): Promise<View>;
  stop(): Promise<void>;
}

/** @throws UserError, exit code 69, if no tree answers now. */
async function watchTree(flags: TreeFlags): Promise<Readings> {
  let tree = RunningTree.find(flags);
  const askTree = async () => {
    try {
      return readTree(await ask(tree.address, findCommand('status'), 0, ANSWER_MS));
    } catch (thrown) {
      throw tree.explain(thrown);
    }
  };
  let treeStatus = await askTree();
  const meter = new RateMeter();
  const reader = new StoreReader(tree.cwd, async () => treeStatus);
  let stores = NO_STORES;
  let reading: Promise<void> | undefined;
  const readStores = async () => {
    stores = await reader.read();
    reading = undefined;
  };
  let rates = meter.add(treeStatus);
  const next = async (storesMs: number) => {
    let silence: string | undefined;
    try {
      treeStatus = await askTree();
      rates = meter.add(treeStatus);
    } catch (thrown) {
      silence = toError(thrown).message;
      tree = findAgain(flags) ?? tree;
    }
    reading ??= readStores();
    await Deadline.after(storesMs).wait(reading);
    return { treeStatus, rates, stores, silence };
  };
  return { next, stop: () => reader.stop() };
}

/** Reads the state file again, since a restarted tree has a new token. @returns undefined while no tree runs. */
function findAgain(flags: TreeFlags): RunningTree | undefined {
  try {
    return RunningTree.find(flags);
  } catch {
    return undefined;
  }
}

const COLOURED: Readonly<Record<Tone, string>> = {
  plain: '',
  strong: '\x1b[1m',
  faint: '\x1b[2m',
  warn: '\x1b[33m',
  bad: '\x1b[1;31m',
};
/** Bold is no colour, so NO_COLOR allows it. */
const UNCOLOURED: typeof COLOURED = { ...COLOURED, faint: '', warn: '', bad: '\x1b[1m' };

/** Writes over the frame before, from the upper left corner, and clears what is left of it. */
export function redraw(lines: readonly Line[], isColoured: boolean): string {
  const codes = isColoured ? COLOURED : UNCOLOURED;
  const styled = lines.map(({ text, tone }) => (codes[tone] === '' ? text : `${codes[tone]}${text}\x1b[0m`));
  return `\x1b[H${styled.map((text) => `${text}\x1b[K\n`).join('')}\x1b[J`;
}
