import assert from 'node:assert/strict';
import { JobsWatch } from '../../../lib/cluster/primary/jobs-watch';
import type { ProcessorStats } from '../../../lib/cluster/status';
import { Events } from '../../../lib/core/events';
import { processorOf, processorStatusOf } from '../../ops/overview/tree-statuses';
import { keepInTest } from '../../support/suite';
import { until } from '../../support/until';

interface Seen {
  readonly silentMs: number;
  readonly stats: ProcessorStats;
}

function reporting(stalled: string | null, silentMs = 0, state: ProcessorStats['state'] = 'ready'): Seen {
  // The wall clock has been set since, so it must not be used to judge.
  const lastCheckin = new Date(Date.now() - 3_600_000).toISOString();
  return { silentMs, stats: processorOf({ state, lastCheckin, lastStatus: processorStatusOf({ stalled }) }) };
}

describe('the watch over the job processor', () => {
  // Also after a failure: a watch that is still running keeps the test process alive.
  const keep = keepInTest(({ task }: JobsWatch) => task.stop());
  const watching = (options: ConstructorParameters<typeof JobsWatch>[0]) => keep(new JobsWatch(options));

  it('passes on the standstill that it reports, and reports the processor after 4 s without a heartbeat or a boot that takes longer than its time limit', async () => {
    const told: string[] = [];
    const events = new Events();
    events.on('processor.stalled', ({ part, cause }) => told.push(`${part} ${cause}`));
    events.on('processor.recovered', ({ part }) => told.push(`${part} moves`));
    let seen = () => reporting(null);
    const changes: (string | null)[] = [];
    const onChange = ({ stalled }: { readonly stalled: string | null }) => changes.push(stalled);
    const watch = watching({
      processor: () => seen().stats,
      silentMs: () => seen().silentMs,
      bootTimeoutMs: 30_000,
      events,
      onChange,
      everyMs: 1,
    });
    const awaited = async (next: typeof seen) => {
      const before = changes.length;
      seen = next;
      await until('it is passed on', () => changes.length > before);
      return changes.at(-1);
    };
    watch.task.start();
    assert.equal(await awaited(() => reporting('fetching jobs stands still')), 'fetching jobs stands still');
    const frozen = 'the job processor stands still: its process does not answer';
    assert.equal(await awaited(() => reporting('fetching jobs stands still', 5000)), frozen);
    assert.equal(await awaited(() => reporting(null)), null);
    assert.equal(await awaited(() => reporting(null, 5000, 'quiet')), frozen, 'a quiet one, too');
    // A processor that boots sends no heartbeats yet, and that it is not running is reported elsewhere.
    assert.equal(await awaited(() => reporting(null, 29_999, 'booting')), null);
    const boots = 'the job processor stands still: it is still booting';
    assert.equal(await awaited(() => reporting(null, 30_001, 'booting')), boots);
    assert.equal(await awaited(() => reporting(null, 0, 'backing_off')), null, 'the boot has failed');
    assert.equal(await awaited(() => reporting(null, 30_001, 'booting')), boots);
    assert.equal(await awaited(() => reporting(null)), null);
    await watch.task.stop();
    // The primary itself was frozen, so a heartbeat is still waiting to be read.
    seen = () => reporting(null, 60_000);
    setImmediate(() => {
      seen = () => reporting(null);
    });
    const again = watching({
      processor: () => reporting(null).stats,
      silentMs: () => seen().silentMs,
      bootTimeoutMs: 30_000,
      events,
      onChange,
    });
    again.task.start();
    await again.task.stop();
    const spells = ['processor frozen', 'processor moves', 'processor frozen', 'processor boots', 'processor moves'];
    assert.deepEqual(told, spells, 'a processor that has ended has not recovered');
  });

  it('passes on since when the oldest job has been due during a standstill, even if the processor is frozen', async () => {
    const due = (stalled: string | null, silentMs: number, ...ages: number[]): Seen => {
      const { stats } = reporting(stalled);
      const waiting = ages.map((ms, index) => ({ queue: `queue-${index}`, ms, readMs: ms, paused: true }));
      return { silentMs, stats: { ...stats, lastStatus: processorStatusOf({ stalled, waiting }) } };
    };
    let seen = due(null, 0, 70_000);
    let looks = 0;
    const ages: (number | null)[] = [];
    const watch = watching({
      processor: () => {
        looks++;
        return seen.stats;
      },
      silentMs: () => seen.silentMs,
      bootTimeoutMs: 30_000,
      events: new Events(),
      onChange: ({ dueSinceS }) => ages.push(dueSinceS === null ? null : process.hrtime()[0] - dueSinceS),
      everyMs: 1,
    });
    const look = async () => {
      const before = looks;
      await until('it has looked', () => looks > before + 1);
    };
    watch.task.start();
    await look();
    assert.deepEqual(ages, [], 'without a standstill a waiting job is not reported');
    for (const next of [due('a queue stands still', 0, 3000, 90_000), due(null, 30_000, 20_000), due(null, 0)]) {
      seen = next;
      const before: number = ages.length;
      await until('it is passed on', () => ages.length > before);
      await look();
      assert.equal(ages.length, before + 1, 'once, since the job is the same');
    }
    await watch.task.stop();
    const [waits = 0, frozen = 0, none] = ages;
    assert.ok(Math.abs((waits ?? 0) - 90) <= 1, `${waits} s`);
    assert.ok(Math.abs((frozen ?? 0) - 50) <= 1, `${frozen} s: it has kept waiting since the last heartbeat`);
    assert.equal(none, null);
  });
});
