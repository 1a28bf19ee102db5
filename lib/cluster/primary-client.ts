import { UserError } from '../core/errors';
import type { Caller } from '../core/events';
import type { RecentEvent } from '../core/notable-events';
import { RequestReply } from '../support/request-reply';
import type { ReplyMessage, RequestMessage } from './messages';
import type { Rollup, Tree, TreeStatus } from './status';

/** Time limit for an answer of the primary, ms. */
const PROMPT_MS = 5000;

/** The tree in a child: each request is sent to the primary, which replies with its result or its error. */
export class PrimaryClient implements Tree {
  private readonly requests: RequestReply<Omit<RequestMessage, 'catamount' | 'id'>, unknown>;

  /** @param send throws, or drops the message, when the primary is gone. */
  constructor(send: (message: RequestMessage) => void) {
    this.requests = new RequestReply((id, request) => send({ catamount: 'request', id, ...request }));
  }

  status(): Promise<TreeStatus> {
    return this.request('status', []);
  }

  rollups(after: number): Promise<readonly Rollup[]> {
    return this.request('rollups', [after]);
  }

  runCommand(command: string, args: readonly number[], by: Caller): Promise<void> {
    return this.request('runCommand', [command, args, by]);
  }

  recordEvent(event: RecentEvent): Promise<void> {
    return this.request('recordEvent', [event]);
  }

  settle({ id, value, refusal }: ReplyMessage): void {
    if (refusal === undefined) this.requests.settle(id, value);
    else this.requests.settle(id, refusal.ours ? new UserError(refusal.message) : new Error(refusal.message));
  }

  private async request<T>(operation: keyof Tree, args: RequestMessage['args']): Promise<T> {
    const onLate = () => new Error(`the primary has not answered ${operation} in ${PROMPT_MS / 1000} s`);
    return (await this.requests.ask({ operation, args }, { ms: PROMPT_MS, onLate })) as T;
  }
}
