import assert from 'node:assert/strict';
import path from 'node:path';
import { CHILD_SILENT_MS } from '../../../lib/cluster/status';
import { Clock } from '../../chaos/scene/clock';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
import { order, statsOf } from './operator';
import { useSupervisorApp } from './supervisor-app';

const HOUR_MS = 3_600_000;

describe('a clock that is set back by an hour', () => {
  const app = useSupervisorApp();

  it('neither ends the tree nor adds workers during a phased restart', async () => {
    const clock = new Clock(path.join(tempFolder('clock'), 'clock'));
    const tree = await app.start({ WEB_CONCURRENCY: '2', ...clock.env });
    clock.set(-HOUR_MS);
    await until('the primary has seen it', async () =>
      (await statsOf(tree)).worker_status.every(
        ({ last_checkin }) => Date.parse(last_checkin ?? '') < Date.now() - HOUR_MS / 2,
      ),
    );
    // No worker counts as unresponsive because of it.
    for (const { heartbeat_age_ms: ageMs } of (await statsOf(tree)).worker_status)
      assert.ok(typeof ageMs === 'number' && ageMs >= 0 && ageMs < CHILD_SILENT_MS, String(ageMs));
    await order(tree, 'phased-restart');
    const { last_phase, worker_status } = await statsOf(tree);
    assert.deepEqual([last_phase?.completed, worker_status.length], [true, 2]);
    assert.equal((await tree.stop()).code, 0);
  });
});
