import { processorsOf, type TreeStatus } from '../cluster/status';
import type { Caller } from '../core/events';
import type { RedisClient } from '../core/redis';
import { compareText } from '../support/text-order';
import { isObject, isText, isTexts } from '../support/type-guards';
import { HeartbeatRegistry } from './heartbeat-registry';
import { newCommand, type RemoteCommand } from './remote-command';

export interface ListedTree {
  readonly treeStatus: TreeStatus;
  /** Time since its last heartbeat, ms. After some seconds without one it is cut off or dead. */
  readonly heartbeatAgeMs: number;
}

/** The trees that share this Redis. Any process may use it, since it only reads and sends commands. */
export class TreeDirectory {
  private readonly registry: HeartbeatRegistry;

  constructor(redis: RedisClient) {
    this.registry = new HeartbeatRegistry(redis);
  }

  /**
   * Calling this repeatedly makes the trees report their status every two seconds instead of every ten.
   * @returns the trees, sorted by name. @throws Error if Redis does not answer.
   */
  async list(): Promise<ListedTree[]> {
    const listed = (await this.registry.list()).flatMap(({ text, heartbeatAgeMs }) => {
      const treeStatus = readTreeStatus(text);
      return treeStatus ? [{ treeStatus, heartbeatAgeMs }] : [];
    });
    return listed.sort(
      (a, b) => compareText(a.treeStatus.name, b.treeStatus.name) || compareText(a.treeStatus.id, b.treeStatus.id),
    );
  }

  /**
   * Sends a command to one tree, which fetches its commands every second. The command expires after a minute.
   * @returns false if no such tree is known. @throws Error if Redis does not answer.
   */
  async send(id: string, command: RemoteCommand, argument: number, by: Caller): Promise<boolean> {
    return this.registry.send(id, JSON.stringify(newCommand(command, argument, by)));
  }
}

/** @returns undefined for a status that this version cannot read. */
export function readTreeStatus(text: string): TreeStatus | undefined {
  try {
    const treeStatus = JSON.parse(text) as TreeStatus;
    return isTreeStatus(treeStatus) ? treeStatus : undefined;
  } catch {
    return undefined;
  }
}

const isEmpty = (value: unknown) => isObject(value) && Object.keys(value).length === 0;
const isObjects = (value: unknown) => Array.isArray(value) && value.every(isObject);

function isTreeStatus({
  id,
  name,
  place,
  host,
  at,
  stats,
  limits,
  slots,
  rates,
  processMetrics,
  processor,
  events,
}: TreeStatus): boolean {
  // A process that has just been forked has not reported a status yet, but its tree is listed anyway.
  const processes = [...stats.workerStatus, ...processorsOf(stats)];
  const statuses = processes.map(({ lastStatus }) => lastStatus).filter((status) => !isEmpty(status));
  const lists = [slots, events, stats.workerStatus, ...statuses.map(({ inFlight }) => inFlight)];
  const parts = [rates, processMetrics, processor, stats.memory, stats.totals, stats.jobProcessor, stats.versions];
  return (
    [id, name, place, host, at].every(isText) &&
    isTexts(limits.queues) &&
    lists.every(isObjects) &&
    parts.every(isObject)
  );
}
