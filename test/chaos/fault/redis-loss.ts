import { setTimeout as wait } from 'node:timers/promises';
import { atDesk, QUEUES } from '../scene/desk';
import type { Scene } from '../scene/scene';
import type { Fault } from './fault';

/** So long do jobs pile up in Redis before it loses them. */
const PILING_UP_MS = 3000;
const BEHIND_MS = 2000;

/** Jobs from the outbox come back; those that went straight to Redis are gone with its data, as they were told. */
export const REDIS_LOSS_FAULTS: readonly Fault[] = [
  {
    name: 'redis-flushed',
    about: 'FLUSHALL, with jobs in hand and in paused queues, which are resumed then',
    strike: (scene, roll) =>
      withJobsWaiting(scene, roll(2) === 0, async () => {
        await scene.redis.command('FLUSHALL');
      }),
  },
  {
    name: 'redis-wiped',
    about: 'Redis dies, and comes back without data, as the smallest plans do',
    strike: (scene, roll) =>
      withJobsWaiting(scene, roll(2) === 0, async () => {
        await scene.redis.current.restart({ wipe: true });
      }),
  },
  {
    name: 'redis-failover',
    about: 'a replica takes over that has heard nothing for 2 s: newer jobs are gone, older ones are there again',
    strike: (scene, roll) => withJobsWaiting(scene, roll(2) === 0, () => scene.redis.failOver(BEHIND_MS)),
  },
];

/** @param pile false: only what runs at the moment is in Redis. */
async function withJobsWaiting(scene: Scene, pile: boolean, lose: () => Promise<void>): Promise<void> {
  if (pile) {
    await atDesk(scene, async ({ queues }) => {
      for (const queue of QUEUES) await queues.pause(queue);
    });
    await wait(PILING_UP_MS);
  }
  scene.note('redis lost data');
  await lose();
  scene.note('redis lost data');
  if (!pile) return;
  // A processor may be about to pause them again, since Postgres has kept that they are.
  await wait(PILING_UP_MS);
  await atDesk(scene, async ({ queues }) => {
    for (const queue of QUEUES) await queues.resume(queue);
  });
}
