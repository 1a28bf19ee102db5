import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { BeeConnection } from '../../../lib/job/fetch/consumer';
import { Deadline } from '../../../lib/support/async';
import { startTestRedis, type TestRedis } from '../../support/redis';
import { until } from '../../support/until';

/** A Redis server with a connection of each of the two kinds that the fetcher uses. */
export class AdapterStage {
  private constructor(
    readonly server: TestRedis,
    readonly redis: Redis,
    readonly command: BeeConnection,
  ) {}

  static async start(): Promise<AdapterStage> {
    const server = await startTestRedis();
    const redis = new Redis(server.url, new Events());
    await redis.start();
    const command = await connectBee(server.url);
    await until('redis is connected', () => redis.client.isReady);
    return new AdapterStage(server, redis, command);
  }

  async stop(): Promise<void> {
    this.command.end();
    await this.redis.stop(Deadline.after(10_000));
    await this.server.remove();
  }
}

export async function connectBee(url: string): Promise<BeeConnection> {
  const onError = (error: Error) => assert.fail(error);
  const connection = new BeeConnection({ url, patienceMs: 60_000, onReady: () => undefined, onError });
  await connection.firstReady.promise;
  return connection;
}
