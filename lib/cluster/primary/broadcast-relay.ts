import type { ChildHandle } from './child-handle';
import type { ProcessorSupervisor } from './processor';
import type { WorkerPool } from './worker-pool';

/** Passes each broadcast on to the tree's other processes that subscribe. In single mode it also carries the primary's own. */
export class BroadcastRelay {
  private hear: (frame: string) => void = () => undefined;

  constructor(
    private readonly workers: WorkerPool,
    private readonly processor: ProcessorSupervisor | undefined,
  ) {
    const relay = (frame: string, from: ChildHandle) => {
      this.pass(frame, from);
      this.hear(frame);
    };
    workers.relay = relay;
    if (processor) processor.relay = relay;
  }

  async listen(hear: (frame: string) => void): Promise<void> {
    this.hear = hear;
  }

  send(frame: string): void {
    this.pass(frame);
  }

  private pass(frame: string, from?: ChildHandle): void {
    for (const child of [...this.workers.handles, ...(this.processor?.handles ?? [])])
      if (child !== from) child.pass(frame);
  }
}
