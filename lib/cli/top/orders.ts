import { ask } from '../../control/client';
import { COMMANDS } from '../../control/commands';
import { toError } from '../../core/errors';
import type { RunningTree } from '../running-tree';
import { type Line, line } from './view';

/** Something to be done to the tree, in words for before, during and after. */
export interface Order {
  readonly command: string;
  readonly argument?: number;
  /** Asked first; none: it is done at once. */
  readonly question?: string;
  readonly doing: string;
  readonly done: (answer: Readonly<Record<string, unknown>>) => string;
}

export function recycle(slot: number): Order {
  return {
    command: 'recycle',
    argument: slot,
    question: `Recycle worker ${slot}?`,
    doing: `Worker ${slot} is being replaced …`,
    done: () => `Worker ${slot} was replaced.`,
  };
}

export const PHASED_RESTART: Order = {
  command: 'phased-restart',
  question: 'Restart all workers one by one, then the job processor?',
  doing: 'A phased restart has begun …',
  done: () => 'The phased restart is complete.',
};

export function scale(by: 1 | -1): Order {
  return {
    command: by === 1 ? 'worker-count-up' : 'worker-count-down',
    doing: by === 1 ? 'One worker more …' : 'One worker fewer …',
    done: ({ workers }) => `Workers: ${workers}`,
  };
}

export const QUIET_JOBS: Order = {
  command: 'jobs quiet',
  doing: 'Pausing jobs …',
  done: () => 'Jobs are paused: those that run finish, no more begin. p resumes them.',
};

export const RESUME_JOBS: Order = {
  command: 'jobs resume',
  doing: 'Resuming jobs …',
  done: () => 'Jobs are run again.',
};

/** Has it done. @returns what came of it; it never rejects. */
export async function carryOut({ command: name, argument, done }: Order, tree: RunningTree): Promise<Line> {
  const command = COMMANDS.find((one) => one.name === name);
  if (!command) return line(`${name} is no command`, 'bad');
  try {
    return line(done(await ask(tree.address, command, argument)));
  } catch (thrown) {
    return line(`Not done: ${toError(thrown).message}`, 'bad');
  }
}
