import os from 'node:os';
import type { TreeStatus } from '../../../lib/cluster/status';
import { TREES, treeCommandsKey, treeStatusKey } from '../../../lib/tree/keys';
import { tell } from '../../support/replicated-redis';
import { processorOf, processorStatusOf, treeStatusOf } from './tree-statuses';

/** A job processor of this process, as its tree would publish it. */
export interface PublishedProcessor {
  readonly identity: string;
  readonly limits?: Partial<TreeStatus['limits']>;
  /** Number of its running jobs. Default 0. */
  readonly busy?: number;
}

/** A Redis in which the statuses of other trees are published, as their primaries do. */
export class PublishedTrees {
  constructor(private readonly redis: { readonly url: string }) {}

  /** @param heartbeatAgeMs of its last heartbeat; negative: it does not become unresponsive during the test. */
  async publish(status: TreeStatus, heartbeatAgeMs = 0): Promise<void> {
    await this.write(status.id, JSON.stringify(status));
    await tell(this.redis, ['ZADD', TREES, String(Date.now() - heartbeatAgeMs), status.id]);
  }

  /** Publishes a tree with this job processor. */
  async publishProcessor({ identity, limits = {}, busy = 0 }: PublishedProcessor): Promise<void> {
    const inFlight = Array.from({ length: busy }, (_, n) => ({ what: 'a job', id: `job ${n}`, ageMs: 0 }));
    const jobs = processorOf({ identity, pid: process.pid, lastStatus: processorStatusOf({ inFlight }) });
    const id = identity.replace(/-\d+$/, '');
    await this.publish(treeStatusOf({ id, host: os.hostname(), jobs, limits }), -60_000);
  }

  /** Writes a status of any form. */
  async write(id: string, status: string): Promise<void> {
    await tell(this.redis, ['SET', treeStatusKey(id), status]);
  }

  async retire(id: string): Promise<void> {
    await tell(this.redis, ['DEL', treeStatusKey(id)]);
    await tell(this.redis, ['ZREM', TREES, id]);
  }

  /** The commands that a tree has been sent. */
  async commandsTo(id: string): Promise<object[]> {
    const texts = (await tell(this.redis, ['LRANGE', treeCommandsKey(id), '0', '-1'])) as string[];
    return texts.map((text) => JSON.parse(text) as object);
  }
}
