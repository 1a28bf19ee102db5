import assert from 'node:assert/strict';
import path from 'node:path';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { Deadline } from '../../../lib/support/async';
import { until } from '../../support/until';
import { catamount, catamountWith } from './operator';
import { Stage } from './stage';

const ELSEWHERE = '7a1c2f0e-6a52-4c1a-9b1e-0d6f5c3b2a19';

describe('a tree on a database that was copied from another installation', () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.make();
    const redis = new Redis(stage.redis.url, new Events());
    await redis.start();
    await until('redis is connected', () => redis.client.isReady);
    await redis.client.set('catamount:installation', ELSEWHERE);
    await redis.stop(Deadline.after(60_000));
    await stage.database.query('insert into job_installation (id) values (gen_random_uuid())');
  });
  after(() => stage.remove());

  it('serves, and /ready and status name the remedy until the database is adopted', async () => {
    const tree = await stage.start({ WEB_CONCURRENCY: '1' });
    await tree.waitForLine(/copied from another installation.*jobs adopt/);
    const ready = async () => JSON.parse((await tree.request('GET', '/ready')).body) as Record<string, unknown>;
    const told = await until('/ready reports it', async () => {
      const answer = await ready();
      return String(answer.broken) === 'installation' && answer;
    });
    assert.equal(told.status, 'degraded');
    assert.match(String(told.advice), /catamount jobs adopt/);
    const status = await catamountWith(stage.env, tree.cwd, 'status');
    assert.match(`${status.stdout}${status.stderr}`, /copied from another installation.*catamount jobs adopt/);
    const adopted = await catamountWith(stage.env, path.dirname(stage.entryFile), 'jobs', 'adopt', '--yes');
    assert.equal(adopted.code, 0, adopted.stderr);
    await until('all is well', async () => (await ready()).status === 'ok');
    assert.doesNotMatch((await catamount(tree.cwd, 'status')).stdout, /copied/);
    assert.equal((await tree.stop()).code, 0);
  });
});
