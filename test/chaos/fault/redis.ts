import { setTimeout as wait } from 'node:timers/promises';
import type { Queues } from '../../../lib/job/admin/queues';
import { queueKey } from '../../../lib/job/hint/keys';
import type { TcpProxy } from '../../support/tcp-proxy';
import { asOperator, type Environment, QUEUES } from '../scene/environment';
import type { Fault } from './faults';

const OUTAGE_MS = 10_000;
const FULL_MS = 5000;
/** Time for which hints pile up in Redis before it loses its data, ms. */
const PILING_UP_MS = 3000;
const BEHIND_MS = 2000;

const outage = (name: string, about: string, start: (network: TcpProxy) => Promise<void> | void): Fault => ({
  name,
  about,
  async inject({ redis }) {
    await start(redis.network);
    await wait(OUTAGE_MS);
    await redis.network.up();
  },
});

const threeTimes = (name: string, about: string, ...commands: readonly (readonly string[])[]): Fault => ({
  name,
  about: `${about}, three times`,
  async inject({ redis }, roll) {
    for (let n = 0; n < 3; n++) {
      for (const command of commands) await redis.command(...command);
      await wait(roll(1000));
    }
  },
});

/** Redis has hints only, so no job is lost with it. */
const loss = (name: string, about: string, lose: (redis: Environment['redis']) => Promise<unknown>): Fault => ({
  name,
  about,
  async inject(environment, roll) {
    // Without paused queues there are hardly any hints.
    const pile = roll(2) === 0;
    if (pile) {
      await eachQueue(environment, (queues, queue) => queues.pause(queue));
      await wait(PILING_UP_MS);
    }
    await lose(environment.redis);
    if (!pile) return;
    await wait(PILING_UP_MS);
    await eachQueue(environment, (queues, queue) => queues.resume(queue));
  },
});

function eachQueue(environment: Environment, work: (queues: Queues, queue: string) => Promise<unknown>): Promise<void> {
  return asOperator(environment, async ({ admin: { queues } }) => {
    for (const queue of QUEUES) await work(queues, queue);
  });
}

/** Sign-ups must succeed whatever happens to Redis. It keeps its data in all but the last three faults. */
export const REDIS_FAULTS: readonly Fault[] = [
  {
    name: 'redis-restart',
    about: 'Redis is stopped in order, or killed, and comes back with its data',
    async inject({ redis }, roll) {
      const { current } = redis;
      await (roll(2) === 0 ? current.kill() : current.stop());
      await wait(roll(2000));
      await current.start();
    },
  },
  outage('redis-outage', 'Redis is unreachable for 10 s', (network) => network.down()),
  outage('redis-silent', 'Redis accepts connections and commands, but answers nothing for 10 s', (network) =>
    network.hold(),
  ),
  threeTimes('redis-scripts', 'SCRIPT FLUSH', ['SCRIPT', 'FLUSH']),
  threeTimes(
    'redis-clients',
    'CLIENT KILL of every connection',
    ...['normal', 'pubsub'].map((type) => ['CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes']),
  ),
  {
    name: 'redis-full',
    about: 'maxmemory is reached: Redis accepts no writes for 5 s',
    async inject({ redis }) {
      await redis.command('CONFIG', 'SET', 'maxmemory', '1mb');
      await wait(FULL_MS);
      await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    },
  },
  loss('redis-flushed', 'FLUSHALL while jobs run or wait in paused queues, which are resumed afterwards', (redis) =>
    redis.command('FLUSHALL'),
  ),
  loss('redis-wiped', 'Redis dies, and comes back without data, as the smallest plans do', (redis) =>
    redis.current.restart({ wipe: true }),
  ),
  {
    name: 'redis-readonly',
    about: 'Redis becomes a replica and refuses writes for 5 s',
    async inject({ redis }) {
      await redis.command('REPLICAOF', '127.0.0.1', '1');
      await wait(FULL_MS);
      await redis.command('REPLICAOF', 'NO', 'ONE');
    },
  },
  {
    name: 'redis-restored',
    about: 'the hints come back as they were 3 s ago, from a dump: their jobs have run since',
    async inject(environment) {
      const { redis } = environment;
      const lists = QUEUES.map((queue) => queueKey(queue, 'waiting'));
      await eachQueue(environment, (queues, queue) => queues.pause(queue));
      await wait(PILING_UP_MS);
      const ids = await Promise.all(lists.map((list) => redis.command('LRANGE', list, '0', '-1')));
      await eachQueue(environment, (queues, queue) => queues.resume(queue));
      await wait(PILING_UP_MS);
      for (const [n, list] of lists.entries()) {
        const old = (ids[n] ?? []) as readonly string[];
        await redis.command('DEL', list);
        if (old.length > 0) await redis.command('RPUSH', list, ...old);
      }
    },
  },
  loss('redis-failover', 'a replica takes over that is 2 s behind: newer jobs are gone, older ones are back', (redis) =>
    redis.failOver(BEHIND_MS),
  ),
];
