import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { store } from '../sets/stored-job';
import { CommandLine } from './command-line';

const ran: number[] = [];

class CountJob extends Job<[n: number]> {
  perform(n: number): void {
    ran.push(n);
  }
}

describe('jobs pause, resume and clear', () => {
  const system = useJobSystem({ empty: [ran] });
  const commandLine = inSuite(undefined, () => new CommandLine(system, [CountJob], { via: 'cli:ada' }));

  it('pause and resume a queue that is served, each only once, and log that', async () => {
    await system.processor([CountJob]);
    const paused = await commandLine.run('pause default');
    assert.equal(paused.text, 'Paused default. To undo that: catamount jobs resume default\n');
    await CountJob.performLater(1);
    await CountJob.set({ queue: 'mailer' }).performLater(2);
    await until('the other queue goes on', () => ran.length === 1);
    assert.deepEqual(ran, [2]);
    const again = await commandLine.run('pause default');
    assert.match(again.text, /^default is paused already: .*, by cli \(ada\)\.\n$/);
    assert.deepEqual([again.json.changed, again.json.since, again.ok], [false, paused.json.since, true]);
    assert.match((await commandLine.run('stats')).text, /^default +1 .* paused (now|\S+ m?s ago) by cli \(ada\)$/m);
    assert.deepEqual((await commandLine.run('resume default')).text, 'Resumed default.\n');
    await until('the resumed queue goes on', () => ran.length === 2);
    assert.deepEqual((await commandLine.run('resume default')).text, 'default is not paused.\n');
    assert.deepEqual(
      system.eventsNamed('operator.queue').map(({ action, queue, via }) => [action, queue, via]),
      [
        ['pause', 'default', 'cli:ada'],
        ['resume', 'default', 'cli:ada'],
      ],
    );
  });

  it('clear the waiting jobs of a queue, after asking', async () => {
    await CountJob.performAllLater([[1], [2]]);
    await store(system.database.knex, 'held', {});
    await assert.rejects(commandLine.run('clear default'), {
      exitCode: 64,
      message: 'This would delete 3 jobs that wait in default: add --yes to confirm it.',
    });
    const person = new CommandLine(system, [CountJob], { answers: 'no\n' });
    await assert.rejects(person.run('clear default'), { exitCode: 1, message: 'Nothing was changed.' });
    assert.equal(await system.jobCount(), 3);
    const { text, json } = await commandLine.run('clear default --yes');
    assert.deepEqual([text, json], ['Deleted 3 jobs that waited in default.\n', { queue: 'default', deleted: 3 }]);
    assert.equal((await commandLine.run('clear default')).text, 'Nothing waits in default.\n');
    assert.equal(await system.jobCount(), 0);
  });

  it('work, and stats, list busy and enqueue say what they know, while Redis is down', async () => {
    await system.processor([CountJob]);
    await system.redisServer.kill();
    await until('the loss of Redis is known', () => !system.redis.client.isReady);
    assert.match((await commandLine.run('pause default')).text, /^Paused default\./);
    const enqueued = await commandLine.run('enqueue CountJob [7]');
    assert.deepEqual([enqueued.ok, enqueued.notes], [true, []]);
    const { text, json } = await commandLine.run('stats');
    assert.match(text, /^Done {7}\d.*\nFailed {5}0\nBusy {7}0\n/);
    assert.deepEqual([json.busy, json.processes], [0, null]);
    assert.equal((await commandLine.run('list busy')).json.total, 0);
    await commandLine.run('resume default');
    await until('the job has run', () => ran.includes(7));
  });
});
