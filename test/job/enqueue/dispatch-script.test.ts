import assert from 'node:assert/strict';
import { dispatch } from '../../../lib/job/enqueue/dispatch-script';
import { JobSystem } from '../job-system';

describe('dispatching', () => {
  let system: JobSystem;
  before(async () => {
    system = await JobSystem.start();
  });
  after(() => system.stop());
  beforeEach(() => system.reset());

  const job = (id: string, queue = 'default') => ({ id, queue, record: `{"of":"${id}"}` });

  it('queues each id once, in order, on its own queue', async () => {
    const { client } = system.redis;
    assert.deepEqual(await dispatch(client, [job('a'), job('b', 'mailer'), job('c'), job('a')]), [
      'queued',
      'queued',
      'queued',
      'known',
    ]);
    assert.deepEqual(await client.lRange('bq:default:waiting', 0, -1), ['c', 'a']);
    assert.deepEqual(await client.lRange('bq:mailer:waiting', 0, -1), ['b']);
    assert.equal(await client.hGet('bq:default:jobs', 'a'), '{"of":"a"}');
  });

  it('leaves alone what has ended', async () => {
    const { client } = system.redis;
    await client.zAdd('bq:default:finished', { score: 1, value: 'a' });
    await client.zAdd('bq:default:recent', { score: 1, value: 'b' });
    assert.deepEqual(await dispatch(client, [job('a'), job('b'), job('c')]), ['finished', 'finished', 'queued']);
  });

  it('refuses what comes too late', async () => {
    const { client } = system.redis;
    const jobs = [job('a')];
    assert.deepEqual(await dispatch(client, jobs, { notAfter: Date.now() - 60_000 }), ['expired']);
    assert.equal(await client.lLen('bq:default:waiting'), 0);
    assert.deepEqual(await dispatch(client, jobs, { notAfter: Date.now() + 60_000 }), ['queued']);
  });

  it('splits what is large, and survives a Redis that has forgotten the script', async () => {
    const { client } = system.redis;
    await client.scriptFlush();
    const large = Array.from({ length: 7 }, (_, n) => ({ ...job(`large-${n}`), record: 'x'.repeat(400_000) }));
    assert.deepEqual(new Set(await dispatch(client, large)), new Set(['queued']));
    assert.equal(await client.lLen('bq:default:waiting'), 7);
    assert.deepEqual(await dispatch(client, []), []);
  });
});
