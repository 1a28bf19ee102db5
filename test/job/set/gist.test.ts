import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { KillJob } from '../../../lib/job/perform/verdict';
import { buryUnknown } from '../../../lib/job/set/bury-script';
import { DeadSet } from '../../../lib/job/set/dead-set';
import type { JobFilter } from '../../../lib/job/set/filter';
import { RetrySet } from '../../../lib/job/set/retry-set';
import { until } from '../../support/until';
import { JobSystem } from '../job-system';
import { setSources } from './set-sources';
import { recordText, type StoredJob, store } from './stored-job';

let succeeds = false;

class FragileJob extends Job<[text: string]> {
  perform(text: string): void {
    if (!succeeds) throw new KillJob(`no ${text}`);
  }
}

describe('the gist of a dead job', () => {
  let system: JobSystem;
  let dead: DeadSet;
  before(async () => {
    system = await JobSystem.start();
    dead = new DeadSet(setSources(system));
  });
  after(() => system.stop());
  beforeEach(async () => {
    await system.reset();
    succeeds = false;
  });

  const found = async (filter: JobFilter) => (await dead.page(filter)).entries.map((entry) => entry.id);
  const gists = () => system.redis.client.hKeys('bq:default:gists');
  const bury = async (id: string, job: StoredJob) =>
    buryUnknown(system.redis.client, [{ id, queue: 'default', record: recordText({ status: 'failed', ...job }) }]);
  const JOB: StoredJob = {
    class: 'SyncJob',
    args: [{ order: 4812, name: '김민준', path: 'a/b', say: 'say "hi"' }],
    tags: ['Blue/1', 'vip'],
    requestId: 'req-9',
    attributes: { tenant: 'Acme', seats: 12, ratio: 0.1, isPaid: true },
    errors: ['Too LATE', 'socket hang up'],
    reason: 'gave up',
  };

  it('is what filters look through', async () => {
    await bury('one', JOB);
    // Where the record is looked at, nothing is found.
    await system.redis.client.hSet('bq:default:jobs', 'one', '-');
    const texts = [
      'ONE',
      'syncjob',
      '4812',
      '"order":4812',
      '김민',
      'a/b',
      'say "HI',
      'blue',
      'req-9',
      'acme',
      'tenant',
      '12',
      '0.1',
    ];
    const filters: JobFilter[] = [...texts, 'true', 'late', 'gave'].map((text) => ({ text }));
    filters.push({ class: 'SyncJob' }, { tag: 'Blue/1' }, { tag: 'vip' }, { error: 'too late' }, { error: 'GAVE up' });
    filters.push({ class: 'SyncJob', tag: 'vip', error: 'hang', text: 'acme' });
    for (const filter of filters) assert.deepEqual(await found(filter), ['one'], JSON.stringify(filter));
    const others: JobFilter[] = ['some-file', 'outbox', 'redis', 'attrs', 'locale', 'reason', '17000'].map((text) => ({
      text,
    }));
    others.push({ class: 'syncjob' }, { class: 'Sync' }, { tag: 'blue/1' }, { tag: 'Blue' }, { tag: 'Too LATE' });
    others.push({ error: 'acme' }, { error: 'some-file' }, { class: 'SyncJob', text: 'nobody' });
    for (const filter of others) assert.deepEqual(await found(filter), [], JSON.stringify(filter));
  });

  it('does not count after another death', async () => {
    const { client } = system.redis;
    await bury('one', JOB);
    // As an older version does it, which knows nothing of gists.
    await store(client, 'dead', { ...JOB, id: 'one', errors: ['of another kind'], at: Date.now() + 60_000 });
    assert.deepEqual(await found({ error: 'late' }), []);
    assert.deepEqual(await found({ error: 'another' }), ['one']);
  });

  it('is not kept where it would be long, or where what it holds looks like its marks', async () => {
    await bury('long', { args: ['x'.repeat(3000), 'needle'] });
    await bury('many', { errors: Array.from({ length: 5 }, (_, n) => `${n}${'y'.repeat(600)} needle`) });
    await bury('marked', { tags: ['a\u0001b'], args: ['needle'] });
    await bury('twice', { args: ['needle', '],"via":"', { options: { list: [1], via: 'x' } }] });
    await bury('short', { args: ['needle'] });
    assert.deepEqual(await gists(), ['short']);
    assert.deepEqual((await found({ text: 'needle' })).sort(), ['long', 'many', 'marked', 'short', 'twice']);
    assert.deepEqual(await found({ tag: 'a\u0001b' }), ['marked']);
  });

  it('serves walks of many calls, jobs without one among them', async () => {
    const { client } = system.redis;
    const jobs = Array.from({ length: 6000 }, (_, n) => ({
      id: `job-${n}`,
      queue: n % 3 === 0 ? 'mailer' : 'default',
      record: recordText({ status: 'failed', args: [n], tags: [n % 4 === 0 ? 'fourth' : 'other'] }),
    }));
    for (let from = 0; from < jobs.length; from += 500) await buryUnknown(client, jobs.slice(from, from + 500));
    const without = jobs.filter((_, n) => n % 10 === 0 && n % 3 !== 0).map((job) => job.id);
    await client.hDel('bq:default:gists', without);
    const wanted = jobs.filter((_, n) => n % 4 === 0).map((job) => job.id);
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await dead.page({ tag: 'fourth', limit: 500, after });
      assert.equal(page.total, wanted.length);
      seen.push(...page.entries.map((entry) => entry.id));
      after = page.next;
    } while (after !== undefined);
    assert.deepEqual(seen.sort(), wanted.sort());
    assert.deepEqual(await dead.deleteMany({ filter: { tag: 'fourth' } }), { moved: wanted.length, complete: true });
    assert.equal(await dead.count({ tag: 'other' }), jobs.length - wanted.length);
  });

  it('goes when its job does: retried, deleted, or pushed out by others', async () => {
    const { client } = system.redis;
    await bury('deleted', JOB);
    await bury('retried', JOB);
    assert.equal((await gists()).length, 2);
    await dead.delete('deleted');
    await dead.retry('retried');
    assert.deepEqual(await gists(), []);
    await bury('oldest', JOB);
    await client.zAdd('bq:default:dead', { score: 1, value: 'oldest' });
    await bury('newest', JOB);
    assert.deepEqual(await gists(), ['newest']);
  });

  it('is made anew with each death, of a run or by an operator', async () => {
    await system.processor([FragileJob]);
    const { id } = await FragileJob.performLater('Wine');
    await until('it is dead', async () => (await found({ error: 'no wine' })).length === 1);
    assert.deepEqual(await gists(), [id]);
    succeeds = true;
    await dead.retry(id);
    await until('it has ended well', () => system.eventsNamed('job.succeeded').length === 1);
    assert.deepEqual(await gists(), []);
    const killed = await store(system.redis.client, 'delayed', { ...JOB, at: Date.now() + 60_000 });
    await new RetrySet(setSources(system)).kill(killed);
    assert.deepEqual(await gists(), [killed]);
    assert.deepEqual(await found({ error: 'killed by an operator' }), [killed]);
  });
});
