import assert from 'node:assert/strict';
import { NotConnectedError } from '../../lib/core/errors';
import { InvalidRequestError, Job, Jobs, transaction } from '../../lib/index';
import { useFakeJobs } from '../../lib/testing';
import { PublishedTrees } from '../ops/overview/published-trees';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();
const ran: string[] = [];

class ImportJob extends Job<[file: string]> {
  async perform(file: string): Promise<void> {
    await gate.pass();
    ran.push(file);
  }
}

class DyingJob extends Job<[file: string]> {
  static override retry = { limit: 0 };

  perform(file: string): void {
    if (!ran.includes(file)) throw new Error(`there is no ${file}`);
  }
}

const CLASSES = [ImportJob, DyingJob];

describe('Jobs', () => {
  const system = useJobSystem({ gate, empty: [ran] });

  async function someDead(...files: string[]): Promise<string[]> {
    await DyingJob.performAllLater(files.map((file) => [file]));
    const processor = await system.processor(CLASSES);
    await until('they are dead', async () => (await Jobs.count('dead')) === files.length);
    processor.quiet();
    const { entries } = await Jobs.page('dead');
    return files.map((file) => entries.find(({ args }) => args[0] === file)?.id ?? assert.fail(file));
  }

  it('reads queues, sets, running jobs and single jobs', async () => {
    await system.processor(CLASSES);
    const { id } = await ImportJob.set({ tags: ['nightly'] }).performLater('a.csv');
    const later = await ImportJob.set({ wait: '1h' }).performLater('b.csv');
    await until('it runs', async () => (await Jobs.running()).length === 1);
    const [running] = await Jobs.running();
    const [queue] = await Jobs.queues.list(['default']);
    const [scheduled] = (await Jobs.page('scheduled', { class: 'ImportJob' })).entries;
    const { place, entry } = await Jobs.find(id);
    assert.equal(running?.class, 'ImportJob');
    assert.deepEqual([queue?.active, queue?.delayed, queue?.paused], [1, 1, undefined]);
    assert.deepEqual([scheduled?.id, scheduled?.args], [later.id, ['b.csv']]);
    assert.deepEqual([place, entry?.tags], ['active', ['nightly']]);
    assert.deepEqual([await Jobs.count('scheduled'), await Jobs.count('scheduled', { queue: 'mailer' })], [1, 0]);
    assert.deepEqual(await Jobs.processes(), [], 'no tree has published itself');
    await new PublishedTrees(system.redisServer).publishProcessor({
      identity: 'one',
      limits: { jobConcurrency: 3 },
      busy: 1,
    });
    assert.deepEqual(
      (await Jobs.processes())?.map(({ identity, concurrency }) => [identity, concurrency]),
      [['one', 3]],
    );
    gate.open();
    await until('it is gone', async () => (await Jobs.find(id)).place === 'gone');
    assert.equal(await Jobs.retry(id), false);
  });

  it('retries, promotes, kills and deletes single jobs, wherever they are', async () => {
    const [dead = ''] = await someDead('a.csv');
    const { id } = await ImportJob.set({ wait: '1h' }).performLater('b.csv');
    assert.equal(await Jobs.kill(id), true);
    assert.equal((await Jobs.find(id)).place, 'dead');
    await assert.rejects(
      Jobs.promote(id),
      (error) => error instanceof InvalidRequestError && /is dead.*retry, delete/.test(error.message),
    );
    ran.push('a.csv');
    assert.equal(await Jobs.retry(dead), true);
    await Jobs.delete(id);
    assert.deepEqual([(await Jobs.find(dead)).place, (await Jobs.find(id)).place], ['waiting', 'gone']);
    const told = system.eventsNamed('operator.jobs');
    assert.deepEqual(
      told.map(({ action, via }) => [action, via]),
      ['kill', 'retry', 'delete'].map((action) => [action, 'app']),
    );
    await system.processor(CLASSES);
    await until('the retried one is done', async () => (await system.jobCount()) === 0);
    assert.deepEqual(await system.deadIds(), []);
    const sum = async () => (await Jobs.stats('1h')).classes.find((each) => each.class === 'DyingJob');
    await until('the statistics have both runs', async () => (await sum())?.processed === 1);
    assert.deepEqual([(await sum())?.dead, (await Jobs.stats()).all.dead], [1, 1]);
  });

  it('changes all that match, and as many as it was told to', async () => {
    await someDead('a.csv', 'b.csv', 'c.csv');
    const first = await Jobs.all('delete', 'dead', { class: 'DyingJob' }, { limit: 2 });
    assert.deepEqual(first, { moved: 2, complete: false });
    assert.equal(await Jobs.count('dead'), 1);
    assert.deepEqual(await Jobs.all('delete', 'dead', {}), { moved: 1, complete: true });
  });

  it('refuses what would choose other jobs than were meant, and changes nothing', async () => {
    await someDead('a.csv');
    const refused = (call: () => Promise<unknown>, said: RegExp) =>
      assert.rejects(call, (error) => error instanceof InvalidRequestError && said.test(error.message), String(said));
    const all = (...given: unknown[]) => (Jobs.all as (...given: unknown[]) => Promise<unknown>)(...given);
    await refused(() => all('delete', 'dead', { klass: 'ImportJob' }), /no condition klass.*class/);
    await refused(() => all('delete', 'dead', { class: undefined }), /class has no value/);
    await refused(() => all('delete', 'dead', 'ImportJob'), /filter is ImportJob/);
    await refused(() => all('delete', 'dead'), /filter is undefined/);
    await refused(() => all('delete', 'died', {}), /not for died/);
    await refused(() => all('remove', 'dead', {}), /no action remove.*delete/);
    await refused(async () => Jobs.page('died' as 'dead'), /no set of jobs died.*dead/);
    await refused(() => Jobs.find('two words'), /job id/);
    await refused(() => Jobs.queues.pause('nowhere'), /no queue "nowhere".*default/);
    await assert.rejects(Jobs.stats('3d'), TypeError);
    assert.equal(await Jobs.count('dead'), 1);
    assert.deepEqual(system.eventsNamed('operator.jobs'), []);
  });

  it('pauses and resumes a queue, and says who did', async () => {
    await system.processor(CLASSES);
    await Jobs.queues.pause('default');
    await ImportJob.performLater('a.csv');
    const [paused] = await Jobs.queues.list(['default']);
    assert.equal(paused?.paused?.by, 'app');
    gate.open();
    await Jobs.queues.resume('default');
    await until('it runs', () => ran.length === 1);
  });

  it('belongs to a transaction', async () => {
    const [id = ''] = await someDead('a.csv');
    await assert.rejects(
      transaction(async () => {
        assert.equal(await Jobs.delete(id), true);
        assert.equal((await Jobs.find(id)).place, 'gone');
        await Jobs.queues.pause('mailer');
        throw new Error('rolled back');
      }),
      /rolled back/,
    );
    assert.equal((await Jobs.find(id)).place, 'dead');
    assert.equal((await Jobs.queues.list(['mailer']))[0]?.paused, undefined);
  });
});

describe('Jobs without a connection', () => {
  it('says so, with fake jobs too', async () => {
    const said = (error: unknown) => error instanceof NotConnectedError && /Jobs\.find/.test(error.message);
    await assert.rejects(async () => Jobs.find('a'), said);
    await using _ = await useFakeJobs();
    await assert.rejects(async () => Jobs.find('a'), said);
  });
});
