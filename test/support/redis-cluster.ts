import { redisBinary } from '../../lib/embedded/find-binaries';
import { TestRedis } from './redis';
import { tell } from './replicated-redis';
import { clusterPort } from './server-port';
import { tempFolder } from './temp-folder';
import { until } from './until';

const SLOTS = 16_384;

/** A cluster whose masters share the slots. */
export class RedisCluster {
  private constructor(private readonly nodes: readonly TestRedis[]) {}

  static async start(masters: number): Promise<RedisCluster> {
    const nodes = await Promise.all(Array.from({ length: masters }, startNode));
    const cluster = new RedisCluster(nodes);
    for (const [index, node] of nodes.entries()) {
      const from = Math.floor((SLOTS * index) / masters);
      const to = Math.floor((SLOTS * (index + 1)) / masters);
      // Each slot by its number, since Redis 6.2 does not support ranges.
      const slots = Array.from({ length: to - from }, (_, one) => String(from + one));
      await tell(node, ['CLUSTER', 'ADDSLOTS', ...slots]);
      await tell(node, ['CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1)]);
    }
    for (const { port } of nodes.slice(1)) await tell(cluster.first, ['CLUSTER', 'MEET', '127.0.0.1', String(port)]);
    await Promise.all(nodes.map((node) => isComplete(node, masters)));
    return cluster;
  }

  /** The node that was started first. */
  get first(): TestRedis {
    const [first] = this.nodes as [TestRedis];
    return first;
  }

  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.remove()));
  }
}

async function startNode(): Promise<TestRedis> {
  const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'];
  const node = new TestRedis(await redisBinary(), tempFolder('redis'), await clusterPort(), settings);
  await node.start();
  return node;
}

const isComplete = (node: TestRedis, masters: number) =>
  until('the cluster is complete', async () => {
    const info = String(await tell(node, ['CLUSTER', 'INFO']));
    return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${masters}`);
  });
