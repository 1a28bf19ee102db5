import { ask } from '../../cluster/control/client';
import { COMMANDS, readTree } from '../../cluster/control/commands';
import { RunningTree, type TreeFlags } from '../../cluster/control/running-tree';
import type { TreeStatus } from '../../cluster/status';
import { toError } from '../../support/async';
import { NO_RATES, RateMeter } from './rates';
import { chosenFrom } from './sections';
import { NO_STORES, StoreReader, type Stores } from './stores';
import { type Line, line, type View } from './view';

/** How long the result of a command is shown, ms. */
const MESSAGE_MS = 8000;

/** The state of `catamount top` and the meaning of its keys, independent of the terminal. */
export class Session {
  private tree: RunningTree;
  private readonly stores: StoreReader;
  private readonly meter = new RateMeter();
  private treeStatus: TreeStatus | undefined;
  private rates = NO_RATES;
  private storesRead: Stores = NO_STORES;
  private silence: string | undefined;
  private selected = 0;
  private pending: Action | undefined;
  private message: Line | undefined;
  private messageUntil = 0;
  private help = false;

  /**
   * @param answerMs see `Pace`.
   * @param onChange called when the view has changed and should be drawn again.
   * @throws UserError with exit code 69 if there is no trace of a tree.
   */
  constructor(
    private readonly flags: TreeFlags,
    private readonly answerMs: number,
    private readonly onChange: () => void,
  ) {
    this.tree = RunningTree.find(flags);
    this.stores = new StoreReader(this.tree.cwd, async () => {
      if (!this.treeStatus) throw new Error('the tree has not answered yet');
      return this.treeStatus;
    });
  }

  view(now = Date.now()): View {
    const { treeStatus, rates, storesRead: stores, silence, selected, pending, help } = this;
    const message = now < this.messageUntil ? this.message : undefined;
    return { treeStatus, rates, stores, silence, selected, question: pending?.question, message, help };
  }

  /**
   * Asks the tree for its status. @throws UserError if the first request fails. Later failures are shown instead.
   */
  async lookAtTree(): Promise<void> {
    try {
      const treeStatus = readTree(await ask(this.tree.address, command('status'), 0, this.answerMs));
      this.treeStatus = treeStatus;
      this.rates = this.meter.add(treeStatus);
      this.silence = undefined;
      this.select(0);
    } catch (thrown) {
      const reason = this.tree.explain(thrown);
      if (!this.treeStatus) throw reason;
      this.silence = toError(reason).message;
      this.findAgain();
    }
    this.onChange();
  }

  async lookAtStores(): Promise<void> {
    this.storesRead = await this.stores.read();
    this.onChange();
  }

  /** @returns false if the key ends the session. */
  press(key: string): boolean {
    if (key === 'ctrl-c') return false;
    if (this.pending) this.answer(key);
    else if (this.help) this.help = false;
    else if (key === 'q') return false;
    else if (Object.hasOwn(this.actions, key)) this.actions[key]?.();
    this.onChange();
    return true;
  }

  stop(): Promise<void> {
    return this.stores.stop();
  }

  /** Actions of the keys while no question is open. Other keys do nothing. */
  private readonly actions: Readonly<Record<string, () => void>> = {
    up: () => this.select(-1),
    'shift-tab': () => this.select(-1),
    down: () => this.select(1),
    tab: () => this.select(1),
    r: () => this.recycleChosen(),
    R: () => this.prepare(PHASED_RESTART),
    '+': () => this.prepare(scale(1)),
    '-': () => this.prepare(scale(-1)),
    p: () => this.prepare(this.jobsArePaused() ? RESUME_JOBS : QUIET_JOBS),
    h: () => {
      this.help = true;
    },
    space: () => {
      void this.lookAtTree().catch(() => undefined);
      void this.lookAtStores();
    },
  };

  private recycleChosen(): void {
    const worker = this.treeStatus && chosenFrom(this.treeStatus)[this.selected];
    if (worker) this.prepare(recycle(worker.index));
    else this.say(line('There is no web worker to recycle.', 'warn'));
  }

  private answer(key: string): void {
    const { pending } = this;
    this.pending = undefined;
    if (pending && (key === 'y' || key === 'Y')) this.begin(pending);
    else this.say(line('Nothing was changed.'));
  }

  private prepare(action: Action): void {
    if (action.question === undefined) this.begin(action);
    else this.pending = action;
  }

  private begin(action: Action): void {
    this.say(line(action.announcement), Number.POSITIVE_INFINITY);
    void carryOut(action, this.tree).then((outcome) => {
      this.say(outcome);
      this.onChange();
    });
  }

  private say(message: Line, forMs = MESSAGE_MS): void {
    this.message = message;
    this.messageUntil = Date.now() + forMs;
  }

  /** Moves the selection, from the last worker on to the first one. 0 only keeps it within the list. */
  private select(by: number): void {
    const count = this.treeStatus ? chosenFrom(this.treeStatus).length : 0;
    this.selected =
      count === 0 ? 0 : by === 0 ? Math.min(this.selected, count - 1) : (this.selected + by + count) % count;
  }

  private jobsArePaused(): boolean {
    return this.treeStatus?.stats.jobProcessor.state === 'quiet';
  }

  /** Reads the state file again, since a restarted tree has a new token. */
  private findAgain(): void {
    try {
      this.tree = RunningTree.find(this.flags);
    } catch {
      // No tree is running yet.
    }
  }
}

function command(name: string): (typeof COMMANDS)[number] {
  const found = COMMANDS.find((one) => one.name === name);
  if (!found) throw new Error(`${name} is not a command`);
  return found;
}

/** A command to the tree, with the texts that are shown before, during and after it. */
export interface Action {
  readonly command: string;
  readonly argument?: number;
  /** A question to be confirmed before the command is sent. Without one it is sent at once. */
  readonly question?: string;
  readonly announcement: string;
  readonly done: (answer: Readonly<Record<string, unknown>>) => string;
}

export function recycle(slot: number): Action {
  return {
    command: 'recycle',
    argument: slot,
    question: `Recycle worker ${slot}?`,
    announcement: `Worker ${slot} is being replaced …`,
    done: () => `Worker ${slot} has been replaced.`,
  };
}

export const PHASED_RESTART: Action = {
  command: 'phased-restart',
  question: 'Restart all workers one by one, then the job processor?',
  announcement: 'A phased restart has begun …',
  done: () => 'The phased restart is complete.',
};

export function scale(by: 1 | -1): Action {
  return {
    command: by === 1 ? 'worker-count-up' : 'worker-count-down',
    announcement: by === 1 ? 'Adding a worker …' : 'Removing a worker …',
    done: ({ workers }) => `Workers: ${workers}`,
  };
}

export const QUIET_JOBS: Action = {
  command: 'jobs quiet',
  announcement: 'Pausing jobs …',
  done: () => 'Jobs are paused: running ones finish, no more begin. p resumes them.',
};

export const RESUME_JOBS: Action = {
  command: 'jobs resume',
  announcement: 'Resuming jobs …',
  done: () => 'Jobs have resumed.',
};

/** Sends the command. @returns the message to show: the result, or why it failed. Never rejects. */
export async function carryOut({ command: name, argument, done }: Action, tree: RunningTree): Promise<Line> {
  const command = COMMANDS.find((one) => one.name === name);
  if (!command) return line(`${name} is not a command`, 'bad');
  try {
    return line(done(await ask(tree.address, command, argument)));
  } catch (thrown) {
    return line(`Not done: ${toError(thrown).message}`, 'bad');
  }
}
