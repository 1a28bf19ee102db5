import assert from 'node:assert/strict';
import v8 from 'node:v8';
import vm from 'node:vm';
import { Batch } from '../../lib/job/batch';
import { OnceOnlyJob } from './child-jobs';
import { useJobSystem } from './job-system';

const JOBS = 50_000;

describe('a large batch', () => {
  const system = useJobSystem();

  it('holds no more of its jobs in memory the more are added', async () => {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc') as () => void;
    const heapMb = () => {
      system.heard.length = 0;
      collect();
      return process.memoryUsage().heapUsed / 1_000_000;
    };
    const heaps: number[] = [];
    const batch = await Batch.create({}, async (open) => {
      for (let n = 1; n <= JOBS; n++) {
        await open.add(OnceOnlyJob.prepare(n));
        if (n % (JOBS / 5) === 0) heaps.push(heapMb());
      }
    });
    const [first = 0, last = 0] = [heaps[0], heaps.at(-1)];
    // The jobs that are added between them would take 6 MB.
    assert.ok(last < first + 3, `the heap in MB: ${heaps.map((mb) => mb.toFixed(1)).join(', ')}`);
    assert.equal((await batch.status())?.pending, JOBS);
  });
});
