import assert from 'node:assert/strict';
import { JobsWatch } from '../../../lib/cluster/primary/jobs-watch';
import type { ProcessorStats } from '../../../lib/cluster/status';
import { Events } from '../../../lib/core/events';
import { processorOf, statusOf } from '../../ops/overview/tree-statuses';
import { until } from '../../support/until';

function reporting(stalled: string | null, silentMs = 0, state: ProcessorStats['state'] = 'ready'): ProcessorStats {
  const lastCheckin = new Date(Date.now() - silentMs).toISOString();
  return processorOf({ state, lastCheckin, lastStatus: { ...statusOf(), quiet: false, inFlight: [], stalled } });
}

describe('the watch of the job processor', () => {
  it('passes on what it says stands still, and says so of itself when it says nothing for 4 s', async () => {
    const told: string[] = [];
    const events = new Events();
    events.on('processor.stalled', ({ part, cause }) => told.push(`${part} ${cause}`));
    events.on('processor.moves', ({ part }) => told.push(`${part} moves`));
    let stats = () => reporting(null);
    const changes: (string | null)[] = [];
    const onChange = (stalled: string | null) => changes.push(stalled);
    const watch = new JobsWatch({ processor: () => stats(), events, onChange, everyMs: 1 });
    const awaited = async (next: typeof stats) => {
      const before = changes.length;
      stats = next;
      await until('it is passed on', () => changes.length > before);
      return changes.at(-1);
    };
    watch.start();
    assert.equal(await awaited(() => reporting('the relay stands still')), 'the relay stands still');
    const frozen = 'the job processor stands still: its process does not answer';
    assert.equal(await awaited(() => reporting('the relay stands still', 5000)), frozen);
    assert.equal(await awaited(() => reporting(null)), null);
    assert.equal(await awaited(() => reporting(null, 5000, 'quiet')), frozen, 'a quiet one, too');
    // One that boots has not spoken yet: that it does not run is told otherwise.
    assert.equal(await awaited(() => reporting(null, 5000, 'booting')), null);
    await watch.stop();
    assert.deepEqual(told, ['processor frozen', 'processor moves', 'processor frozen', 'processor moves']);
  });
});
