import { setTimeout as wait } from 'node:timers/promises';
import type { TreeFlags } from '../../cluster/control/running-tree';
import { environment } from '../../core/config';
import type { Environment } from '../../core/settings-reader';
import { frame, snapshot } from './frame';
import { type Input, Keyboard, type Output, Screen, stylerFor } from './screen';
import { Session } from './session';

const PACE: Pace = { treeMs: 1000, answerMs: 3000, storesMs: 2000, secondReadingMs: 1200 };
/** How long the system may take to suspend this process after Ctrl-Z, ms. */
const STOPPED_MS = 100;
/** Width of the lines if the output is not a terminal, columns. */
const DEFAULT_WIDTH = 160;

/** Intervals and timeouts, ms. */
export interface Pace {
  readonly treeMs: number;
  /** Timeout of a status request to the tree. */
  readonly answerMs: number;
  /** Interval at which queues and job sets are read. */
  readonly storesMs: number;
  /** Without a terminal: delay before the second status request, since rates need two. */
  readonly secondReadingMs: number;
}

/** The input and output of `top`, and the environment of the shell. */
export interface Stage {
  readonly input: Input;
  readonly output: Output;
  readonly env: Environment;
  readonly pace?: Pace;
}

/**
 * Shows the tree live until q is pressed. Without a terminal, prints it once. @throws UserError if no tree answers.
 */
export async function top(
  flags: TreeFlags,
  stage: Stage = { input: process.stdin, output: process.stdout, env: environment() },
): Promise<void> {
  const { input, output, env } = stage;
  const live = input.isTTY === true && output.isTTY === true && env.TERM !== 'dumb';
  await (live ? showLive(flags, stage) : showOnce(flags, stage));
}

async function showOnce(flags: TreeFlags, { output, pace = PACE }: Stage): Promise<void> {
  // The reader of a pipe may close it early: catamount top | head
  output.on('error', () => undefined);
  const session = new Session(flags, pace.answerMs, () => undefined);
  await session.lookAtTree();
  await Promise.all([session.lookAtStores(), wait(pace.secondReadingMs).then(() => session.lookAtTree())]);
  const text = snapshot(session.view(), output.isTTY ? (output.columns ?? DEFAULT_WIDTH) : DEFAULT_WIDTH)
    .map((line) => line.text)
    .join('\n');
  await new Promise<void>((resolve) => output.write(`${text}\n`, () => resolve()));
  await session.stop();
}

async function showLive(flags: TreeFlags, { input, output, env, pace = PACE }: Stage): Promise<void> {
  const screen = new Screen(output, stylerFor(!env.NO_COLOR));
  const draw = () => screen.draw(frame(session.view(), screen.size));
  const session = new Session(flags, pace.answerMs, draw);
  // The first request precedes the switch to the alternate screen, so that an error is printed as by any other command.
  await session.lookAtTree();
  const ended = new AbortController();
  const keyboard = new Keyboard(input, (key) => {
    if (key === 'ctrl-z') pause();
    else if (!session.press(key)) ended.abort();
  });
  const begin = () => {
    screen.enter();
    keyboard.open();
    draw();
  };
  const giveBack = () => {
    keyboard.close();
    screen.leave();
  };
  /**
   * Suspends this process like any program on Ctrl-Z, until `fg`. Without a shell that could continue it (docker exec)
   * the system does not suspend it, so it continues by itself after STOPPED_MS.
   */
  const pause = () => {
    giveBack();
    const goOn = () => {
      clearTimeout(timer);
      process.off('SIGCONT', goOn);
      if (!ended.signal.aborted) begin();
    };
    process.on('SIGCONT', goOn);
    const timer = setTimeout(goOn, STOPPED_MS);
    process.kill(process.pid, 'SIGTSTP');
  };
  const resize = () => {
    screen.forget();
    draw();
  };
  const forgetSignals = onDeath(giveBack);
  output.on('resize', resize);
  output.on('error', () => ended.abort());
  begin();
  try {
    await Promise.all([
      every(pace.treeMs, ended.signal, () => session.lookAtTree()),
      every(pace.storesMs, ended.signal, () => session.lookAtStores()),
    ]);
  } finally {
    output.off('resize', resize);
    forgetSignals();
    giveBack();
    await session.stop();
  }
}

/**
 * Repeats `work` with a pause of `ms` after each run. Resolves as soon as `over` is aborted, even while `work` runs.
 */
function every(ms: number, over: AbortSignal, work: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    over.addEventListener('abort', () => resolve(), { once: true });
    const run = async () => {
      while (!over.aborted) {
        await work();
        await wait(ms, undefined, { signal: over }).catch(() => undefined);
      }
    };
    run().catch(reject);
  });
}

/**
 * Restores the terminal before the process ends in any way other than SIGKILL. @returns a function that removes the
 * handlers.
 */
function onDeath(giveBack: () => void): () => void {
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;
  const die = (signal: NodeJS.Signals) => {
    giveBack();
    for (const each of signals) process.off(each, die);
    process.kill(process.pid, signal);
  };
  for (const each of signals) process.on(each, die);
  process.on('exit', giveBack);
  return () => {
    for (const each of signals) process.off(each, die);
    process.off('exit', giveBack);
  };
}
