import type { TreeStatus } from '../../../lib/cluster/status';
import { TREES, treeCommandsKey, treeStatusKey } from '../../../lib/tree/tree-commands';
import { tell } from '../../support/replicated-redis';

/** A Redis in which the statuses of other trees are published, as their primaries do. */
export class PublishedTrees {
  constructor(private readonly redis: { readonly url: string }) {}

  /** @param heartbeatAgeMs of its last heartbeat; negative: it does not become unresponsive during the test. */
  async publish(status: TreeStatus, heartbeatAgeMs = 0): Promise<void> {
    await this.write(status.id, JSON.stringify(status));
    await tell(this.redis, ['ZADD', TREES, String(Date.now() - heartbeatAgeMs), status.id]);
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
