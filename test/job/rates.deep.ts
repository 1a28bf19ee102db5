import assert from 'node:assert/strict';
import { Job } from '../../lib/job/job';
import { until } from '../support/until';
import { useJobSystem } from './job-system';
import { recordStarts } from './starts';

const LIMIT = 10;
const BURST = 2;

class CallJob extends Job<[api: string]> {
  static override readonly rate = { limit: LIMIT, per: '1s', burst: BURST, key: (api: string) => api } as const;

  perform(_: string): void {}
}

describe('a rate', () => {
  const system = useJobSystem();

  it('is exceeded in no sliding second, over three processors', async () => {
    const starts = await recordStarts(system);
    for (let n = 0; n < 3; n++) await system.processor([CallJob]);
    await CallJob.performAllLater(
      ['a', 'b'].flatMap((api) => Array.from({ length: 40 * LIMIT }, (): [string] => [api])),
    );
    await until('all have run', async () => (await system.jobCount()) === 0);
    for (const api of ['a', 'b']) {
      const at = await starts(`CallJob:${api}`);
      const inSecond = at.map((from) => at.filter((ms) => ms >= from && ms < from + 1000).length);
      assert.equal(at.length, 40 * LIMIT);
      assert.ok(Math.max(...inSecond) <= LIMIT + BURST, `${Math.max(...inSecond)} started in a second`);
    }
  });
});
