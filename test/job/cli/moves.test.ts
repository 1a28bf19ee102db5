import assert from 'node:assert/strict';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { Deadline } from '../../../lib/support/deadline';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { store, storeDead } from '../sets/stored-job';
import { CommandLine } from './command-line';

const gate = new Gate();
const ran: string[] = [];
let mood: 'die' | 'fail' | 'work' = 'work';

class MoodyJob extends Job<[name: string]> {
  static override retryIn = () => '1h' as const;

  perform(name: string): void {
    ran.push(name);
    if (mood === 'die') throw new KillJob(`no ${name}`);
    if (mood === 'fail') throw new Error(`not now, ${name}`);
  }
}

class HeldJob extends Job {
  async perform(): Promise<void> {
    await gate.pass();
  }
}

const CLASSES = [MoodyJob, HeldJob];
const HOUR_MS = 3_600_000;

describe('jobs retry, promote, kill and delete', () => {
  const system = useJobSystem({
    gate,
    empty: [ran],
    reset: () => {
      mood = 'work';
    },
  });
  const commandLine = inSuite(undefined, () => new CommandLine(system, CLASSES, { via: 'cli:ada' }));

  const sizes = async () => {
    const { json } = await commandLine.run('stats');
    return { retry: json.retry, scheduled: json.scheduled, dead: json.dead };
  };
  const sizeIs = (set: 'retry' | 'scheduled' | 'dead', size: number) =>
    until(`${size} in ${set}`, async () => (await sizes())[set] === size);
  const audit = () => system.eventsNamed('operator.jobs');
  /** Has jobs fail or die in a real processor. @returns their ids. */
  const spoiled = async (how: 'die' | 'fail', ...names: string[]) => {
    mood = how;
    const processor = await system.processor(CLASSES);
    const jobs = await MoodyJob.performAllLater(names.map((name) => [name]));
    await sizeIs(how === 'die' ? 'dead' : 'retry', names.length);
    await processor.stop(Deadline.after(2000));
    mood = 'work';
    ran.length = 0;
    return jobs.map((job) => job.id);
  };
  const stored = (place: 'scheduled' | 'dead', count: number, job: object = {}) =>
    Promise.all(
      Array.from({ length: count }, (_, n) => {
        const at = Date.now() + (place === 'dead' ? -HOUR_MS : HOUR_MS) + n;
        const full = { class: 'MoodyJob', args: [`n${n}`], errors: ['once'], at, ...job };
        return place === 'dead' ? storeDead(system.database.knex, full) : store(system.database.knex, place, full);
      }),
    );

  it("retry dead and failed jobs, which the app's processors then run", async () => {
    const dead = await spoiled('die', 'ann', 'bob');
    const [failed = ''] = await spoiled('fail', 'cyd');
    const answer = await commandLine.run(['retry', ...dead, failed, failed]);
    assert.deepEqual(answer, {
      json: { action: 'retry', moved: [...dead, failed], refused: [] },
      text: 'Retried 3 jobs.\n',
      notes: [],
      ok: true,
    });
    assert.equal(audit().length, 3);
    assert.deepEqual(audit()[0], { action: 'retry', set: 'dead', count: 1, via: 'cli:ada' });
    assert.deepEqual(await sizes(), { retry: 0, scheduled: 0, dead: 0 });
    await system.processor(CLASSES);
    await until('all jobs have run', () => ran.length === 3);
  });

  it('report each job that they cannot move, and move the others', async () => {
    const [dead = ''] = await spoiled('die', 'ann');
    const { id: scheduled } = await MoodyJob.set({ wait: '1h' }).performLater('bob');
    const near = `${dead.slice(0, -1)}${dead.endsWith('0') ? '1' : '0'}`;
    const answer = await commandLine.run(['retry', near, scheduled, dead]);
    assert.deepEqual([answer.ok, answer.text], [false, 'Retried 1 job.\n']);
    assert.match(answer.notes[0] ?? '', new RegExp(`^There is no job ${near}: `));
    assert.equal(
      answer.notes[1],
      `Job ${scheduled} is scheduled: retry is for retry and dead jobs; for this one, there is promote, kill, delete.`,
    );
    assert.deepEqual(answer.json.moved, [dead]);
    const elsewhere = await commandLine.run(`promote ${scheduled} --queue mailer`);
    assert.match(elsewhere.notes[0] ?? '', /^There is no job /);
    await assert.rejects(commandLine.run(`show ${scheduled} --queue mailer`), /There is no job /);
    assert.deepEqual(
      (answer.json.refused as { id: string }[]).map((one) => one.id),
      [near, scheduled],
    );
    assert.deepEqual(
      (await commandLine.run(`retry ${dead} ${dead}`)).json.moved,
      [],
      'a job that was retried before cannot be retried again',
    );
  });

  it('delete a waiting job, but do not kill a running one', async () => {
    await system.processor(CLASSES, { jobs: { concurrency: 1 } });
    const { id: running } = await HeldJob.performLater();
    await until('the first job is running', () => gate.held === 1);
    const { id: waiting } = await MoodyJob.performLater('ann');
    assert.equal((await commandLine.run(`delete ${waiting}`)).text, 'Deleted 1 job.\n');
    const { ok, notes } = await commandLine.run(`kill ${running}`);
    assert.deepEqual([ok, notes], [false, [`Job ${running} is running: kill is for retry and scheduled jobs.`]]);
  });

  it('find and delete waiting jobs, even when no processor is alive and Redis is down', async () => {
    await system.redisServer.kill();
    await until('the loss of Redis is known', () => !system.redis.client.isReady);
    const first = await MoodyJob.performLater('ann');
    const second = await MoodyJob.performLater('bob');
    const { json } = await commandLine.run('list waiting');
    assert.equal(json.total, 2);
    assert.match((await commandLine.run(`show ${first.id}`)).text, /^State {8}waiting$/m);
    assert.equal((await commandLine.run(`delete ${first.id}`)).text, 'Deleted 1 job.\n');
    assert.equal((await commandLine.run(`delete ${first.id}`)).ok, false);
    assert.deepEqual(audit(), [{ action: 'delete', set: 'waiting', count: 1, via: 'cli:ada' }]);
    await system.processor(CLASSES);
    await until('the other job has run', () => ran.length === 1);
    await until('no job is left', async () => (await system.jobCount()) === 0);
    assert.deepEqual(ran, ['bob'], second.id);
  });

  it('ask before they move all jobs, and accept nothing but y or yes', async () => {
    await stored('dead', 2, { tags: ['vip'] });
    await stored('dead', 1);
    const line = 'retry --all --set dead --tag vip';
    await assert.rejects(commandLine.run(line), {
      exitCode: 64,
      message: 'This would retry 2 dead jobs: add --yes to confirm it.',
    });
    for (const answers of ['n\n', '\n', 'yeah\n', '']) {
      const person = new CommandLine(system, CLASSES, { answers });
      await assert.rejects(person.run(line), { exitCode: 1, message: 'Nothing was changed.' });
      assert.ok(person.said.includes('Retry 2 dead jobs? [y/N] '), person.said);
    }
    assert.equal((await sizes()).dead, 3);
    assert.deepEqual(audit(), []);
    for (const answers of ['y\n', 'YES\n']) {
      const person = new CommandLine(system, CLASSES, { answers });
      const { text } = await person.run(`${line} --limit 1`);
      assert.equal(text, 'Retried 1 dead job.\n');
      assert.ok(person.said.includes('1 of 1'), 'it shows its progress');
    }
    assert.match((await commandLine.run(line)).text, /^No dead job matches/);
  });

  it('end between two chunks after Ctrl-C, and say how far they came', async () => {
    await stored('dead', 450);
    const onSaid = (text: string) => text.includes('200 of 450') && process.emit('SIGINT', 'SIGINT');
    const person = new CommandLine(system, CLASSES, { answers: '', onSaid });
    const { ok, notes, json, text } = await person.run('delete --all --set dead --yes');
    assert.deepEqual([ok, json.moved, json.complete], [false, 200, false]);
    assert.equal(text, 'Deleted 200 dead jobs.\n');
    assert.deepEqual(notes, ['It was interrupted; the same command continues where it stopped.']);
    assert.equal((await sizes()).dead, 250);
    assert.equal(process.listenerCount('SIGINT'), 0);
  });
});
