import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import type { ProcessorTuning } from '../../../lib/job/processor';
import { until } from '../../support/until';
import { BlockingJob, CountingJob } from '../child-jobs';
import { killChild, startChildProcessor } from '../child-processor';
import { useJobSystem } from '../job-system';

/** A job may block its process for 20 s: less than the silence after which a processor counts as dead. Both are scaled. */
const SCALE = 1 / 6;
const SILENT_MS = 25_000 * SCALE;
const BLOCK_MS = 20_000 * SCALE;

describe('jobs in processes of their own', () => {
  const children: ChildProcess[] = [];
  const system = useJobSystem();
  afterEach(() => Promise.all(children.splice(0).map(killChild)));

  const start = (identity: string, tuning?: ProcessorTuning) => {
    const child = startChildProcessor(system.urls, { lineage: { identity, dead: [] }, ...(tuning && { tuning }) });
    children.push(child);
    return child;
  };

  it('do not run twice when they block the event loop for 20 s (scaled), whenever they begin', async () => {
    const begun: string[] = [];
    const tuning = { dispatch: { silentMs: SILENT_MS, upkeepMs: 100 } };
    for (const identity of ['one', 'another']) {
      start(identity, tuning).on('message', (name: string) => begun.push(name));
    }
    const expected: string[] = [];
    // Each begins at another moment between two heartbeats.
    for (let i = 0; i < 4; i++) {
      expected.push(`job ${i}`);
      await BlockingJob.performLater(`job ${i}`, BLOCK_MS);
      await until(`job ${i} is over`, async () => (await system.jobCount()) === 0);
    }
    assert.deepEqual(begun, expected);
  });

  it('resume from their latest stored cursor after their process was killed', async () => {
    const told: number[] = [];
    const first = start('first');
    const { id } = await CountingJob.performLater();
    const cursor = async () => {
      const [row] = await system.postgres.query<{ cursor: number }>('select cursor from job_queue where id = $1', [id]);
      return Number(row?.cursor);
    };
    await until('its cursor was stored while it ran', async () => (await cursor()) > 10);
    await killChild(first);
    const stored = await cursor();
    start('second').on('message', (text: string) => told.push(Number(text)));
    await until('the job goes on', () => told.length > 3);
    assert.equal(told[0], stored);
  });
});
