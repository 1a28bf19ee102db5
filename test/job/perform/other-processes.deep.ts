import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { until } from '../../support/until';
import { BlockingJob, CountingJob, startDoomedProcessor } from '../doomed-processor';
import { JobSystem } from '../job-system';

/** Of the real 30 s and 20 s: what is left for the machine to be slow in is a sixth of the interval. */
const SCALE = 1 / 6;
const STALL_MS = 30_000 * SCALE;
const BLOCK_MS = 20_000 * SCALE;

describe('jobs in processes of their own', () => {
  let system: JobSystem;
  const children: ChildProcess[] = [];
  before(async () => {
    system = await JobSystem.start();
  });
  afterEach(async () => {
    await Promise.all(children.splice(0).map(kill));
    await system.reset();
  });
  after(() => system.stop());

  const start = (identity: string, ...tuning: Parameters<typeof startDoomedProcessor>[2][]) => {
    const urls = { database: system.postgres.url, redis: system.redisServer.url };
    const child = startDoomedProcessor(urls, identity, ...tuning);
    children.push(child);
    return child;
  };
  async function kill(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  it('that hold the event loop for 20 s (scaled) are not run twice at once, whenever they begin', async () => {
    const begun: string[] = [];
    // Takes for dead nobody: what is tested is the stall check.
    const tuning = { stallInterval: STALL_MS, unresponsiveMs: 600_000 };
    for (const identity of ['one', 'another']) {
      start(identity, tuning).on('message', (name: string) => begun.push(name));
    }
    const expected: string[] = [];
    // Against the stall check's marks, each begins at another moment.
    for (let i = 0; i < 4; i++) {
      expected.push(`job ${i}`);
      await BlockingJob.performLater(`job ${i}`, BLOCK_MS);
      await until(`job ${i} is over`, async () => (await system.redis.client.hLen('bq:default:jobs')) === 0);
    }
    assert.deepEqual(begun, expected);
  });

  it('resume from their latest stored cursor when their process was killed', async () => {
    const told: number[] = [];
    const first = start('first');
    const { id } = await CountingJob.performLater();
    const cursor = async () => Number(await system.redis.client.hGet('bq:default:cursor', id));
    await until('its cursor was stored while it ran', async () => (await cursor()) > 10);
    await kill(first);
    const stored = await cursor();
    start('second').on('message', (text: string) => told.push(Number(text)));
    await until('it goes on', () => told.length > 3);
    assert.equal(told[0], stored);
  });
});
