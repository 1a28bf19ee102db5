import assert from 'node:assert/strict';
import { Job } from '../../../lib/job/job';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { store, storeDead } from '../sets/stored-job';
import { CommandLine } from './command-line';

const gate = new Gate();
let reason: unknown;

class HeldJob extends Job {
  async perform(): Promise<void> {
    await gate.pass(this.context.signal).catch((error: unknown) => {
      reason = error;
      return gate.pass();
    });
  }
}

describe('jobs cancel', () => {
  const system = useJobSystem({ gate });
  const commandLine = inSuite(undefined, () => new CommandLine(system, [HeldJob], { via: 'cli:ada' }));
  const stored = (place: 'scheduled' | 'ready', tags: string[] = []) =>
    store(system.database.knex, place, { class: 'HeldJob', at: Date.now() + 3_600_000, tags });

  it('cancels what waits, asks what runs, and says of each other why not', async () => {
    await system.processor([HeldJob]);
    const { id: running } = await HeldJob.performLater();
    await until('it runs', () => gate.held === 1);
    const scheduled = await stored('scheduled');
    const dead = await storeDead(system.database.knex, { class: 'HeldJob', at: Date.now() });
    const answer = await commandLine.run(['cancel', running, scheduled, dead, 'nonsense', '--reason', 'for Ada']);
    assert.deepEqual(answer, {
      json: {
        jobs: [
          { id: running, outcome: 'requested' },
          { id: scheduled, outcome: 'cancelled' },
          { id: dead, outcome: 'gone' },
          { id: 'nonsense', outcome: 'gone' },
        ],
      },
      text: 'Cancelled 1 job.\nAsked 1 running job to end.\n',
      notes: [
        `Job ${dead} is dead: to remove it, there is delete.`,
        'There is no job nonsense: it has succeeded, was discarded, cancelled or deleted, or never existed.',
      ],
      ok: false,
    });
    await until('it is asked', () => reason);
    assert.match((await commandLine.run(['show', running])).text, /^Cancelled +asked to end: for Ada$/m);
    const audit = { action: 'cancel', set: 'waiting or running', count: 1, via: 'cli:ada' };
    assert.deepEqual(system.eventsNamed('operator.jobs'), [audit, audit]);
  });

  it('cancels all of a class or with a tag once that is confirmed', async () => {
    await Promise.all([stored('scheduled', ['a']), stored('ready', ['a']), stored('ready')]);
    await assert.rejects(commandLine.run('cancel --all --tag a'), /This would cancel 2 jobs: add --yes/);
    const { json, text } = await commandLine.run('cancel --all --tag a --yes');
    assert.deepEqual([json, text], [{ cancelled: 2, requested: 0 }, 'Cancelled 2 jobs.\n']);
    assert.equal(
      (await commandLine.run('cancel --all --class HeldJob --queue default --yes')).text,
      'Cancelled 1 job.\n',
    );
    assert.equal((await commandLine.run('cancel --all --class HeldJob --yes')).text, 'No job matches.\n');
  });

  it('says what is wrong with a command', async () => {
    for (const [words, message] of [
      ['cancel', /needs the ids of jobs, or --all with/],
      ['cancel --all', /needs --class or --tag/],
      ['cancel --all --class HeldJob some-id', /Give ids or --all/],
      ['cancel some-id --tag a', /--tag is for --all/],
      ['cancel --all --class HeldJop', /no job class "HeldJop"/],
    ] as const)
      await assert.rejects(commandLine.run(words), message);
    await assert.rejects(commandLine.run(['cancel', 'some-id', '--reason', 'x'.repeat(1001)]), /--reason: the reason/);
  });
});
