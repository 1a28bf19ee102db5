import assert from 'node:assert/strict';
import { redisBinary } from '../../lib/embedded/find-binaries';
import { TestRedis } from './redis';
import { AT_ONCE, tell } from './replicated-redis';
import { clusterPort } from './server-port';
import { tempFolder } from './temp-folder';
import { until } from './until';

interface Node {
  readonly redis: TestRedis;
  readonly id: string;
}

const SLOTS = 16_384;

/** A cluster whose masters share the slots. A master that is down for a second is replaced by its replica. */
export class RedisCluster {
  private constructor(
    private readonly nodes: Node[],
    private readonly slot: number,
  ) {}

  /** @param prefix the REDIS_PREFIX whose slot `owner`, `migrate` and the other methods refer to. */
  static async start(masters: number, prefix = 'shop'): Promise<RedisCluster> {
    const nodes = await Promise.all(Array.from({ length: masters }, startNode));
    const [{ redis: first }] = nodes as [Node];
    for (const [index, { redis }] of nodes.entries()) {
      const from = Math.floor((SLOTS * index) / masters);
      const to = Math.floor((SLOTS * (index + 1)) / masters);
      // Each slot by its number, since Redis 6.2 does not support ranges.
      const slots = Array.from({ length: to - from }, (_, one) => String(from + one));
      await tell(redis, ['CLUSTER', 'ADDSLOTS', ...slots]);
      await tell(redis, ['CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1)]);
    }
    const cluster = new RedisCluster([], Number(await tell(first, ['CLUSTER', 'KEYSLOT', `{${prefix}}`])));
    for (const node of nodes) await cluster.meet(node);
    await Promise.all(nodes.map(({ redis }) => isComplete(redis, masters)));
    return cluster;
  }

  /** The node that was started first. */
  get first(): TestRedis {
    const [first] = this.nodes as [Node];
    return first.redis;
  }

  /** The master that owns the slot of the prefix. */
  async owner(): Promise<TestRedis> {
    return (await this.parted()).owner.redis;
  }

  /** Another master. */
  async other(): Promise<TestRedis> {
    return (await this.parted()).other.redis;
  }

  /**
   * Moves the slot with all its keys to another master, as `redis-cli --cluster reshard` does. @returns that master.
   */
  async migrate(): Promise<TestRedis> {
    const { owner, other } = await this.parted();
    const slot = String(this.slot);
    await tell(other.redis, ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id]);
    await tell(owner.redis, ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', other.id]);
    const to = ['127.0.0.1', String(other.redis.port)];
    for (;;) {
      const keys = (await tell(owner.redis, ['CLUSTER', 'GETKEYSINSLOT', slot, '100'])) as string[];
      if (keys.length === 0) break;
      await tell(owner.redis, ['MIGRATE', ...to, '', '0', '5000', 'KEYS', ...keys]);
    }
    for (const { redis } of [other, owner]) await tell(redis, ['CLUSTER', 'SETSLOT', slot, 'NODE', other.id]);
    return other.redis;
  }

  /** Gives the owner of the slot a replica, and waits until it has the data. */
  async addReplica(): Promise<TestRedis> {
    const [{ owner }, replica] = await Promise.all([this.parted(), startNode()]);
    const { redis } = replica;
    await this.meet(replica);
    // The command fails until the node has heard of its master.
    await until('the replica replicates', () =>
      tell(redis, ['CLUSTER', 'REPLICATE', owner.id]).then(
        () => true,
        () => false,
      ),
    );
    await until('the replica has the data', async () =>
      String(await tell(redis, ['INFO', 'replication'])).includes('master_link_status:up'),
    );
    return redis;
  }

  async remove(): Promise<void> {
    await Promise.all(this.nodes.map(({ redis }) => redis.remove()));
  }

  private async meet(node: Node): Promise<void> {
    const { redis } = node;
    const [first] = this.nodes;
    if (first) await tell(first.redis, ['CLUSTER', 'MEET', '127.0.0.1', String(redis.port)]);
    this.nodes.push(node);
  }

  private async parted(): Promise<{ readonly owner: Node; readonly other: Node }> {
    const text = String(await tell(this.first, ['CLUSTER', 'NODES']));
    const masters = this.nodes.filter(({ id }) =>
      text.split('\n').some((line) => line.startsWith(id) && / \d+-\d+/.test(line)),
    );
    const owner = masters.find(({ id }) =>
      ownsSlot(text.split('\n').find((line) => line.startsWith(id)) ?? '', this.slot),
    );
    const other = masters.find((node) => node !== owner);
    assert.ok(owner && other, text);
    return { owner, other };
  }
}

async function startNode(): Promise<Node> {
  const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', ...AT_ONCE];
  const redis = new TestRedis(await redisBinary(), tempFolder('redis'), await clusterPort(), settings);
  await redis.start();
  return { redis, id: String(await tell(redis, ['CLUSTER', 'MYID'])) };
}

/** @param line a line of CLUSTER NODES: its slots follow eight other fields. */
function ownsSlot(line: string, slot: number): boolean {
  return line
    .split(' ')
    .slice(8)
    .map((range) => range.split('-').map(Number))
    .some(([from = -1, to = from]) => slot >= from && slot <= to);
}

const isComplete = (redis: TestRedis, masters: number) =>
  until('the cluster is complete', async () => {
    const info = String(await tell(redis, ['CLUSTER', 'INFO']));
    return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${masters}`);
  });
