import assert from 'node:assert/strict';
import type { EventMap } from '../../../lib/core/events';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { setSources, setsOf } from '../sets/set-sources';

const GIVEN = { ids: [1, 2, 3, 4, 5], note: { to: 'ann' } };
type Given = { ids: number[]; note: { to: string } };

const got: string[] = [];

function useUp(given: Given): void {
  got.push(JSON.stringify(given));
  while (given.ids.length > 0) {
    if (given.ids.shift() === 3) throw new Error('the third fails');
  }
}

class ShiftingJob extends Job<[given: Given]> {
  static override retry = { limit: 1 };

  perform(given: Given): void {
    given.note.to = 'somebody else';
    useUp(given);
  }

  override afterDiscard(_error: Error, given: Given): void {
    got.push(JSON.stringify(given));
    given.ids.length = 0;
  }
}

class BlockedJob extends Job<[given: Given]> {
  static override retry = { limit: 0 };

  override beforePerform(given: Given): void {
    useUp(given);
  }

  perform(_given: Given): void {
    got.push('performed');
  }
}

/** A run gets its own copies of the arguments; the record keeps what was enqueued. Sidekiq and ActiveJob promise the same. */
describe('arguments that a run changes in place', () => {
  const system = useJobSystem({ empty: [got] });

  const deadArgs = async () => (await setsOf(setSources(system)).dead.page()).entries.map((entry) => entry.args);
  const whole = JSON.stringify(GIVEN);

  it('are unchanged in the retry, in afterDiscard, in the dead set and in events', async () => {
    const told: unknown[] = [];
    const tell = ({ args }: EventMap['job.retrying'] | EventMap['job.dead']) => told.push(args?.());
    const offs = [system.events.on('job.retrying', tell), system.events.on('job.dead', tell)];
    try {
      await system.skipWaits();
      await system.processor([ShiftingJob]);
      await ShiftingJob.performLater(structuredClone(GIVEN));
      await until('the job is dead', async () => (await system.deadIds()).length === 1);
    } finally {
      for (const off of offs) off();
    }
    const changed = JSON.stringify({ ...GIVEN, note: { to: 'somebody else' } });
    assert.deepEqual(got, [changed, changed, whole]);
    assert.deepEqual(told, [[GIVEN], [GIVEN]]);
    assert.deepEqual(await deadArgs(), [[GIVEN]]);
  });

  it('are unchanged in the dead set when beforePerform has changed them', async () => {
    await system.processor([BlockedJob]);
    await BlockedJob.performLater(structuredClone(GIVEN));
    await until('the job is dead', async () => (await system.deadIds()).length === 1);
    assert.deepEqual(got, [whole]);
    assert.deepEqual(await deadArgs(), [[GIVEN]]);
  });

  it('are unchanged when they are read from job.started after the run has ended', async () => {
    await system.skipWaits();
    await system.processor([ShiftingJob]);
    await ShiftingJob.performLater(structuredClone(GIVEN));
    await until('the job is dead', async () => (await system.deadIds()).length === 1);
    assert.deepEqual(
      system.eventsNamed('job.started').map(({ args }) => args?.()),
      [[GIVEN], [GIVEN]],
    );
  });
});
