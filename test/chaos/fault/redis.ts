import { setTimeout as wait } from 'node:timers/promises';
import type { Fault } from './fault';

const OUTAGE_MS = 10_000;
const FULL_MS = 5000;

/** Sign-ups go on, whatever Redis does, and it keeps what it has. */
export const REDIS_FAULTS: readonly Fault[] = [
  {
    name: 'redis-restart',
    about: 'Redis is stopped in order, or killed, and comes back with its data',
    async strike({ redis }, roll) {
      const { current } = redis;
      await (roll(2) === 0 ? current.kill() : current.stop());
      await wait(roll(2000));
      await current.start();
    },
  },
  {
    name: 'redis-outage',
    about: 'nobody gets through to Redis for 10 s',
    async strike({ redis }) {
      redis.network.takeDown();
      await wait(OUTAGE_MS);
      redis.network.mend();
    },
  },
  {
    name: 'redis-silent',
    about: 'Redis takes connections and commands, and answers nothing for 10 s',
    async strike({ redis }) {
      redis.network.swallow();
      await wait(OUTAGE_MS);
      redis.network.mend();
    },
  },
  {
    name: 'redis-scripts',
    about: 'SCRIPT FLUSH, three times',
    async strike({ redis }, roll) {
      for (let n = 0; n < 3; n++) {
        await redis.command('SCRIPT', 'FLUSH');
        await wait(roll(1000));
      }
    },
  },
  {
    name: 'redis-clients',
    about: 'CLIENT KILL of every connection, three times',
    async strike({ redis }, roll) {
      for (let n = 0; n < 3; n++) {
        for (const type of ['normal', 'pubsub']) await redis.command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
        await wait(roll(1000));
      }
    },
  },
  {
    name: 'redis-full',
    about: 'maxmemory is reached: Redis takes no writes for 5 s',
    async strike({ redis }) {
      await redis.command('CONFIG', 'SET', 'maxmemory', '1mb');
      await wait(FULL_MS);
      await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    },
  },
];
