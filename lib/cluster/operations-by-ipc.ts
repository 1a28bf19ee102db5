import { toError, UserError } from '../core/errors';
import { type Deferred, deferred } from '../support/deferred';
import type { FigurePart } from './figures';
import type { AnswerMessage, AskMessage } from './messages';
import type { RecentEvent } from './recent-events';
import type { Operations, TreeStats } from './stats';
import type { TreePicture } from './tree-picture';

/** For what the primary answers at once, ms. */
const PROMPT_MS = 5000;

/** The tree's operations in a child of the primary: each is asked of the primary, and its answer or its refusal comes back. */
export class OperationsByIpc implements Operations {
  private readonly open = new Map<number, Deferred<unknown>>();
  private count = 0;

  /** @param send throws, or drops the message, when there is no primary any more. */
  constructor(private readonly send: (message: AskMessage) => void) {}

  stats(): Promise<TreeStats> {
    return this.ask('stats', [], PROMPT_MS);
  }

  look(): Promise<TreePicture> {
    return this.ask('look', [], PROMPT_MS);
  }

  figures(after: number): Promise<readonly FigurePart[]> {
    return this.ask('figures', [after], PROMPT_MS);
  }

  order(command: string, argument: number, by: string): Promise<void> {
    return this.ask('order', [command, argument, by], PROMPT_MS);
  }

  happened(event: RecentEvent): Promise<void> {
    return this.ask('happened', [event], PROMPT_MS);
  }

  recycle(slot: number): Promise<void> {
    return this.ask('recycle', [slot]);
  }

  phasedRestart(): Promise<void> {
    return this.ask('phasedRestart');
  }

  restart(): Promise<void> {
    return this.ask('restart');
  }

  stop(): Promise<void> {
    return this.ask('stop');
  }

  halt(): Promise<void> {
    return this.ask('halt');
  }

  scale(by: 1 | -1): Promise<number> {
    return this.ask('scale', [by]);
  }

  quietJobs(): Promise<void> {
    return this.ask('quietJobs');
  }

  resumeJobs(): Promise<void> {
    return this.ask('resumeJobs');
  }

  reopenLog(): Promise<void> {
    return this.ask('reopenLog');
  }

  gc(): Promise<void> {
    return this.ask('gc');
  }

  heapSnapshot(slot: number): Promise<string> {
    return this.ask('heapSnapshot', [slot]);
  }

  /** What the primary has answered. */
  hear(answer: AnswerMessage): void {
    const asked = this.open.get(answer.id);
    this.open.delete(answer.id);
    if (answer.refusal === undefined) asked?.resolve(answer.value);
    else asked?.reject(answer.refusal.ours ? new UserError(answer.refusal.message) : new Error(answer.refusal.message));
  }

  private async ask<T>(operation: keyof Operations, args: AskMessage['args'] = [], withinMs?: number): Promise<T> {
    const id = ++this.count;
    const asked = deferred<unknown>();
    this.open.set(id, asked);
    const late = () => asked.reject(new Error(`the primary has not answered ${operation} in ${PROMPT_MS / 1000} s`));
    const timer = withinMs === undefined ? undefined : setTimeout(late, withinMs);
    try {
      this.send({ catamount: 'ask', id, operation, args });
      return (await asked.promise) as T;
    } finally {
      clearTimeout(timer);
      this.open.delete(id);
    }
  }
}

/** The primary's side: does what a worker asks for. */
export async function answerAsked(operations: Operations | undefined, asked: AskMessage): Promise<AnswerMessage> {
  const { id, operation, args } = asked;
  if (!operations) {
    const refusal = { message: 'this tree lets its processes ask for nothing', ours: false };
    return { catamount: 'answer', id, value: null, refusal };
  }
  try {
    const run = operations[operation] as (this: Operations, ...args: AskMessage['args']) => Promise<unknown>;
    return { catamount: 'answer', id, value: await run.apply(operations, [...args]) };
  } catch (thrown) {
    const { message } = toError(thrown);
    return { catamount: 'answer', id, value: null, refusal: { message, ours: thrown instanceof UserError } };
  }
}
