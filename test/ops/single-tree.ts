import { MemoryWatch } from '../../lib/cluster/primary/memory-watch';
import { PhasedRestart } from '../../lib/cluster/primary/phased-restart';
import { TreeMonitor } from '../../lib/cluster/primary/tree-monitor';
import { TreeOperations } from '../../lib/cluster/primary/tree-operations';
import { WorkerPool } from '../../lib/cluster/primary/worker-pool';
import type { Operations } from '../../lib/cluster/status';
import type { Config } from '../../lib/core/config';
import type { Events } from '../../lib/core/events';

/** The operations of a primary without children: this process is the whole tree. */
export function singleTree(config: Config, events: Events): Operations {
  const workers = new WorkerPool(0, config, events);
  const memory = new MemoryWatch(workers, events, {
    limitMb: config.memoryLimitMb,
    otherPids: () => [process.pid],
  });
  const phased = new PhasedRestart(workers, events, (slot) => memory.orderFor(slot));
  const never = async (): Promise<never> => {
    throw new Error('a test does not stop itself');
  };
  const processor = undefined;
  const monitor = new TreeMonitor({ id: 'test', app: 'catamount', config, events, workers, processor, memory, phased });
  return new TreeOperations({
    config,
    workers,
    processor,
    monitor,
    events,
    memory,
    phased,
    stop: never,
    restart: never,
  });
}
