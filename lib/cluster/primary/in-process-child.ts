import { AsyncLocalStorage } from 'node:async_hooks';
import { EventEmitter } from 'node:events';
import type { Child } from '../child-process';
import type { ParentChannel } from '../parent-channel';

/**
 * A part of the tree that runs in this process: to the primary it looks like a child that it has forked, to the part like a
 * process of its own. The primary ends with it.
 */
export class InProcessChild extends EventEmitter implements Child {
  readonly pid = process.pid;
  readonly stdout = null;
  readonly stderr = null;
  connected = true;
  /** The part's end of the channel. */
  readonly parent: ParentChannel;
  /** Messages are heard outside the request or the job that sends them. */
  private readonly outside = AsyncLocalStorage.snapshot();

  constructor(onTitle: (title: string) => void) {
    super();
    this.parent = new PartChannel(this, onTitle);
  }

  send(message: object, connection?: unknown, _options?: object, sent?: () => void): void {
    this.pass(this.parent as PartChannel, message, connection, sent);
  }

  /** Never blocks, and keeps the order. */
  pass(to: EventEmitter, message: object, connection: unknown, sent: () => void = () => undefined): void {
    process.nextTick(() =>
      this.outside(() => {
        to.emit('message', message, connection);
        sent();
      }),
    );
  }

  kill(): boolean {
    this.end(null, 'SIGKILL');
    return true;
  }

  end(code: number | null, signal: string | null): void {
    if (!this.connected) return;
    this.connected = false;
    process.nextTick(() => this.outside(() => this.emit('exit', code, signal)));
  }
}

class PartChannel extends EventEmitter implements ParentChannel {
  constructor(
    private readonly child: InProcessChild,
    private readonly onTitle: (title: string) => void,
  ) {
    super();
  }

  get connected(): boolean {
    return this.child.connected;
  }

  set title(title: string) {
    this.onTitle(title);
  }

  send(message: object, connection: unknown, _options: undefined, sent: () => void): void {
    this.child.pass(this.child, message, connection, sent);
  }

  exit(code: number): void {
    this.child.end(code, null);
  }
}
