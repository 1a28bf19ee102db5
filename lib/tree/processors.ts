import { processorsOf, reported } from '../cluster/status';
import type { RedisClient } from '../core/redis';
import type { ListedProcess } from '../job/processes/process-list';
import { compareText } from '../support/text-order';
import { type ListedTree, TreeDirectory } from './tree-directory';

/** @returns the job processors of all trees on this Redis, by tree, then by age. @throws when Redis does not answer. */
export async function listProcesses(redis: RedisClient): Promise<ListedProcess[]> {
  return processorsIn(await new TreeDirectory(redis).list());
}

/** @returns the job processors of these trees that have booted, by tree, then by age, the oldest first. */
export function processorsIn(trees: readonly ListedTree[]): ListedProcess[] {
  const listed = trees.flatMap(({ treeStatus, heartbeatAgeMs }) => {
    const { id: tree, app, host, stats, limits } = treeStatus;
    return processorsOf(stats).flatMap((processor): ListedProcess[] => {
      const { identity, pid, state, startedAt } = processor;
      if (!identity || pid === null || state === 'booting') return [];
      const status = reported(processor.lastStatus);
      return [
        {
          identity,
          tree,
          app,
          version: stats.versions.catamount,
          host,
          pid,
          startedAt: Date.parse(startedAt ?? treeStatus.at),
          queues: limits.queues,
          concurrency: limits.jobConcurrency,
          quiet: state === 'quiet',
          stopping: state === 'stopping',
          busyCount: status?.inFlight.length ?? 0,
          rssMb: status?.rssMb ?? 0,
          lagP99Ms: status?.lagP99Ms ?? 0,
          utilization: status?.utilization ?? 0,
          heartbeatAgeMs: heartbeatAgeMs + (processor.heartbeatAgeMs ?? 0),
        },
      ];
    });
  });
  return listed.sort((a, b) => compareText(a.tree, b.tree) || a.startedAt - b.startedAt);
}
