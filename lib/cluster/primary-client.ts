import { UserError } from '../core/errors';
import type { Caller } from '../core/events';
import type { RecentEvent } from '../core/notable-events';
import { RequestReply } from '../support/request-reply';
import type { ReplyMessage, RequestMessage } from './messages';
import type { Operations, Rollup, TreeStats, TreeStatus } from './status';

/** Time limit for operations that the primary answers at once, ms. */
const PROMPT_MS = 5000;

/** The tree's operations in a child: each is sent to the primary, which replies with its result or its error. */
export class PrimaryClient implements Operations {
  private readonly requests: RequestReply<Omit<RequestMessage, 'catamount' | 'id'>, unknown>;

  /** @param send throws, or drops the message, when the primary is gone. */
  constructor(send: (message: RequestMessage) => void) {
    this.requests = new RequestReply((id, request) => send({ catamount: 'request', id, ...request }));
  }

  stats(): Promise<TreeStats> {
    return this.request('stats', [], PROMPT_MS);
  }

  status(): Promise<TreeStatus> {
    return this.request('status', [], PROMPT_MS);
  }

  rollups(after: number): Promise<readonly Rollup[]> {
    return this.request('rollups', [after], PROMPT_MS);
  }

  runCommand(command: string, argument: number, by: Caller): Promise<void> {
    return this.request('runCommand', [command, argument, by], PROMPT_MS);
  }

  recordEvent(event: RecentEvent): Promise<void> {
    return this.request('recordEvent', [event], PROMPT_MS);
  }

  recycle(slot: number): Promise<void> {
    return this.request('recycle', [slot]);
  }

  phasedRestart(): Promise<void> {
    return this.request('phasedRestart');
  }

  restart(): Promise<void> {
    return this.request('restart');
  }

  stop(): Promise<void> {
    return this.request('stop');
  }

  halt(): Promise<void> {
    return this.request('halt');
  }

  scale(by: 1 | -1): Promise<number> {
    return this.request('scale', [by]);
  }

  quietJobs(): Promise<void> {
    return this.request('quietJobs');
  }

  resumeJobs(): Promise<void> {
    return this.request('resumeJobs');
  }

  reopenLog(): Promise<void> {
    return this.request('reopenLog');
  }

  gc(): Promise<void> {
    return this.request('gc');
  }

  heapSnapshot(slot: number): Promise<string> {
    return this.request('heapSnapshot', [slot]);
  }

  /** Settles the request that this replies to. */
  settle({ id, value, refusal }: ReplyMessage): void {
    if (refusal === undefined) this.requests.settle(id, value);
    else this.requests.settle(id, refusal.ours ? new UserError(refusal.message) : new Error(refusal.message));
  }

  private async request<T>(operation: keyof Operations, args: RequestMessage['args'] = [], ms?: number): Promise<T> {
    const onLate = () => new Error(`the primary has not answered ${operation} in ${PROMPT_MS / 1000} s`);
    return (await this.requests.ask({ operation, args }, ms === undefined ? undefined : { ms, onLate })) as T;
  }
}
