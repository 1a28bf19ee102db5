import assert from 'node:assert/strict';
import type { RedisClient } from '../../../lib/core/redis';
import type { Delivery, Outcome } from '../../../lib/job/fetch/fetch-call';
import { rescueOrphans } from '../../../lib/job/processes/rescue';
import { dispatch } from '../../../lib/job/queue/dispatch';
import { newRecord } from '../../../lib/job/record/record';
import { AdapterStage } from './adapter-stage';
import { HandmadeProcess } from './handmade-process';

const OUTCOMES: readonly Outcome[] = [
  // Without markers the id comes from a plain producer, who may have reused it.
  { op: 'complete', markers: '' },
  { op: 'discard', markers: 'f' },
  { op: 'retry', record: '{}', dueAt: 0 },
  { op: 'retry', record: '{}', dueAt: Number.MAX_SAFE_INTEGER },
  { op: 'dead', record: '{}', markers: 'f' },
  { op: 'release' },
  { op: 'release-counted' },
];
const DONE: Outcome = { op: 'complete', markers: 'f' };

/** The contents of the queue `default`. */
async function standing(client: RedisClient) {
  const [jobs, waiting, active, delayed, dead, finished, deliveries] = await Promise.all([
    client.hKeys('bq:default:jobs'),
    client.lRange('bq:default:waiting', 0, -1),
    client.lRange('bq:default:active', 0, -1),
    client.zRange('bq:default:delayed', 0, -1),
    client.zRange('bq:default:dead', 0, -1),
    client.zRange('bq:default:ended', 0, -1),
    client.hGetAll('bq:default:deliveries'),
  ]);
  return { jobs, waiting, active, delayed, dead, finished, deliveries: { ...deliveries } };
}

const NOWHERE = { jobs: [], waiting: [], active: [], delayed: [], dead: [], finished: ['job'], deliveries: {} };

describe('the outcome of a delivery', () => {
  let stage: AdapterStage;
  let client: RedisClient;
  let old: HandmadeProcess;
  let newer: HandmadeProcess;
  let first: Delivery;
  before(async () => {
    stage = await AdapterStage.start();
    ({ client } = stage.redis);
  });
  after(() => stage.stop());
  beforeEach(async () => {
    await client.flushAll();
    old = new HandmadeProcess(stage.command, 'old');
    newer = new HandmadeProcess(stage.command, 'newer');
    await dispatch(client, [{ id: 'job', queue: 'default', record: newRecord('{"class":"AnyJob","args":[]}') }]);
    first = await deliveredTo(old);
  });

  const deliveredTo = async (process: HandmadeProcess): Promise<Delivery> =>
    (await process.fetch(1))[0] ?? assert.fail('there is nothing to fetch');
  const takenFromOld = () => rescueOrphans(client, 'old', ['default']);

  it('is ignored when another run has the job by then, and does not affect that run', async () => {
    await takenFromOld();
    const second = await deliveredTo(newer);
    const before = await standing(client);
    for (const outcome of OUTCOMES) {
      assert.equal(await old.end(first, outcome), false, outcome.op);
      assert.deepEqual(await standing(client), before, outcome.op);
    }
    assert.equal(await newer.end(second, DONE), true);
    assert.deepEqual(await standing(client), NOWHERE);
  });

  const placesOfAJob: readonly { readonly where: string; readonly bring: () => Promise<unknown> }[] = [
    { where: 'waits again', bring: async () => undefined },
    { where: 'runs in another process', bring: () => deliveredTo(newer) },
    {
      where: 'waits for its retry',
      bring: async () => newer.end(await deliveredTo(newer), OUTCOMES[3] ?? assert.fail()),
    },
    {
      where: 'is dead',
      bring: async () => newer.end(await deliveredTo(newer), { op: 'dead', record: '{}', markers: '' }),
    },
  ];
  for (const { where, bring } of placesOfAJob) {
    it(`counts as a success although the job ${where}`, async () => {
      await takenFromOld();
      await bring();
      assert.equal(await old.end(first, DONE), true);
      assert.deepEqual(await standing(client), NOWHERE);
    });
  }

  it('is ignored for a second run when the first has succeeded', async () => {
    await takenFromOld();
    const second = await deliveredTo(newer);
    await old.end(first, DONE);
    for (const outcome of OUTCOMES.filter(({ op }) => op !== 'discard')) {
      assert.equal(await newer.end(second, outcome), false, outcome.op);
    }
    assert.deepEqual(await standing(client), NOWHERE);
  });

  it('counts once when it is sent twice, as it is after a lost reply', async () => {
    const later = OUTCOMES[3] ?? assert.fail();
    assert.deepEqual([await old.end(first, later), await old.end(first, later)], [true, false]);
    assert.deepEqual((await standing(client)).delayed, ['job']);
  });

  it('is ignored when it is a retry of a job that was removed by hand', async () => {
    await client.hDel('bq:default:jobs', 'job');
    assert.equal(await old.end(first, { op: 'retry', record: '{}', dueAt: 0 }), false);
    assert.deepEqual(await standing(client), { ...NOWHERE, finished: [] });
  });

  it('is recorded when it ends the job, even if Redis was emptied meanwhile', async () => {
    for (const markers of ['f', 'r', ''] as const) {
      await client.flushAll();
      assert.equal(await old.end(first, { op: 'complete', markers }), markers !== '');
      assert.deepEqual(await standing(client), { ...NOWHERE, finished: markers === '' ? [] : ['job'] });
    }
  });

  it('may be a release, which returns the job to the head of its queue and does not count the delivery', async () => {
    await dispatch(client, [{ id: 'behind', queue: 'default', record: '{}' }]);
    await old.end(first, { op: 'release' });
    assert.deepEqual(
      (await newer.fetch(2)).map(({ id, deliveries }) => [id, deliveries]),
      [
        ['job', 1],
        ['behind', 1],
      ],
    );
  });

  it('is replaced by a release when the reply with the job was lost: the next call returns it to its queue', async () => {
    const { token, fetched } = await newer.call({ wanted: 1 });
    assert.deepEqual(fetched, [], 'the other process has the job');
    await old.end(first, { op: 'release' });
    const lost = await old.call({ wanted: 1 });
    const again = await old.call({ wanted: 1, lost: [token, lost.token] });
    assert.deepEqual(
      again.fetched.map(({ id, deliveries }) => [id, deliveries]),
      [['job', 1]],
    );
  });
});
