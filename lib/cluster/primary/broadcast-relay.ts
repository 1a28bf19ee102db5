import type { ChildHandle } from './child-handle';
import type { ProcessorSupervisor } from './processor';
import type { WorkerPool } from './worker-pool';

/** Passes each broadcast of a process on to the tree's other processes that subscribe. */
export function relayBroadcasts(workers: WorkerPool, processor: ProcessorSupervisor | undefined): void {
  const relay = (frame: string, from: ChildHandle) => {
    for (const child of [...workers.handles, ...(processor?.handles ?? [])]) if (child !== from) child.pass(frame);
  };
  workers.relay = relay;
  if (processor) processor.relay = relay;
}
