import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { JobAdmin } from '../../lib/job/admin/job-admin';
import { DiscardJob, JobResultError, KillJob, type NoResult } from '../../lib/job/definition/errors';
import type { JobArgument, JobClass } from '../../lib/job/definition/job-class';
import { compileOptions } from '../../lib/job/definition/options';
import { Job } from '../../lib/job/job';
import { keyringOf } from '../../lib/job/record/encryption';
import { pruneFinished } from '../../lib/job/row/finished';
import { databaseInUse, transaction } from '../../lib/model/transaction';
import { until } from '../support/until';
import { CommandLine } from './cli/command-line';
import { Gate } from './gate';
import { useJobSystem } from './job-system';
import { setSources } from './sets/set-sources';

const gate = new Gate();
const KEY = { id: '2026a', key: randomBytes(32).toString('base64') };
/** What no table and no kept line may hold. */
const SECRET = 'tuberculosis';

class EchoJob extends Job<[value: JobArgument]> {
  static override readonly keep = '7d';
  static override readonly unique = true;

  async perform(value: JobArgument) {
    await gate.pass(this.context.signal);
    return value;
  }
}

/** Its result is a function, or too long, or undefined. */
class OddJob extends Job<[what: 'a function' | 'too long' | 'nothing']> {
  static override readonly keep = '7d';

  perform(what: string) {
    return { 'a function': { list: [() => 1] }, 'too long': 'ß'.repeat(600_000), nothing: undefined }[what];
  }
}

class EndingJob extends Job<[how: 'dead' | 'discarded' | 'retried']> {
  static override readonly keep = '7d';

  static {
    this.retryOn(RangeError, { wait: 0 });
  }

  perform(how: string): number {
    if (how === 'dead') throw new KillJob('no');
    if (how === 'discarded') throw new DiscardJob('no');
    this.log('about to fail', { attempt: this.context.attempt });
    if (this.context.attempt === 1) throw new RangeError('once');
    return this.context.attempt;
  }
}

/** Ends by `commit`, whose first run fails within. */
class CommittingJob extends Job {
  static override readonly keep = '7d';

  static {
    this.retryOn(RangeError, { wait: 0 });
  }

  async perform(): Promise<{ run: number } | string> {
    await this.commit(async () => {
      await databaseInUse('a test').raw('insert into effects (run) values (?)', [this.context.attempt]);
      this.log('committed');
      return { run: this.context.attempt };
    });
    if (this.context.attempt === 1) throw new Error('after it');
    return 'nobody gets this';
  }
}

/** Has a secret as result of a step and as its own, and fails between the two once. */
class SecretJob extends Job<[SECRET: string]> {
  static override readonly keep = '7d';
  static override readonly encrypt = true;

  static {
    this.retryOn(RangeError, { wait: 0 });
  }

  async perform(secret: string) {
    const found = await this.step('find', () => (this.context.attempt === 1 ? `${secret}!` : 'found again'));
    this.log('found', { secret });
    await gate.pass(this.context.signal);
    if (this.context.attempt === 1) throw new RangeError('once');
    return [found];
  }
}

/** Its arguments are encrypted for its key. */
class LatestJob extends SecretJob {
  static override readonly unique = { onConflict: 'replace' } as const;
}

class LoudJob extends Job {
  static override readonly keep = { for: 60_000, limit: 2 } as const;

  perform(): void {
    const fields = { long: 'x'.repeat(1000), last: 1 };
    for (let n = 0; n < 100; n++) this.log(`line ${n}`, fields);
    fields.last = 2;
  }
}

/** Of these one runs at a time; each says by its tag whose it is. */
class ReportJob extends Job<[shop: number]> {
  static override readonly keep = '7d';
  static override readonly limit = { count: 1 };
  static override readonly tags = ['report'];

  perform(shop: number) {
    this.log('wrote it', { rows: shop, token: 'tok_secret' });
    return { shop, token: 'tok_secret' };
  }
}

class PlainJob extends Job {
  perform() {
    this.log('plain', { n: 1 });
    return 7;
  }
}

const CLASSES = [EchoJob, OddJob, EndingJob, CommittingJob, SecretJob, LatestJob, LoudJob, PlainJob, ReportJob];

describe('the results of jobs', () => {
  const keys = keyringOf([KEY]);
  const system = useJobSystem({ gate, dependencies: { keys } });
  before(() => system.postgres.query('create table effects (run int not null)'));
  beforeEach(() => system.postgres.query('truncate effects'));

  const work = () => system.processor(CLASSES, { jobs: { encryptionKeys: [KEY] } });
  interface Row {
    readonly id: string;
    readonly attempts: number;
    readonly ending: string;
  }
  const finished = () =>
    system.postgres.query<Row>('select id, attempts, ending from job_finished order by finished_at');
  const fails = (awaited: Promise<unknown>, reason: NoResult, message = /./) =>
    assert.rejects(awaited, (error: unknown) => {
      assert.ok(error instanceof JobResultError);
      assert.equal(error.reason, reason);
      assert.match(error.message, message);
      return true;
    });

  it('reach whoever waits, in this process or in another, as they were', async () => {
    await work();
    const value = { b: 2n, a: [new Date(7), -0, null, { $date: 'mine' }] };
    const job = await EchoJob.performLater(value);
    const same = await EchoJob.set({ tags: ['again'] }).performLater(value);
    assert.deepEqual([same.enqueued, same.id], [false, job.id]);
    assert.deepEqual({ ...job }, { id: job.id, enqueued: true });
    const waits = [job.result(), same.result({ timeout: '1m' }), EchoJob.result(job.id), Job.result(job.id)];
    await until('it runs', () => gate.held === 1);
    gate.open();
    assert.deepEqual(await Promise.all(waits), Array(4).fill(value));
    assert.deepEqual(await EchoJob.result(job.id.toUpperCase()), value, 'of a job that was done before');
    assert.deepEqual(
      (await finished()).map(({ id, attempts }) => [id, attempts]),
      [[job.id, 0]],
    );
    assert.equal(await system.jobCount(), 0);
    const again = await EchoJob.performLater(value);
    assert.equal(again.enqueued, true, 'a finished job holds no unique key');
  });

  it('are not there: the job died, or left without one, or is not kept, or the time is up', async () => {
    await work();
    const waiting = await EchoJob.performLater('held');
    await fails(waiting.result({ timeout: 50 }), 'timeout', /has not ended within 50 ms$/);
    await fails((await EndingJob.performLater('dead')).result(), 'dead', /EndingJob is dead/);
    await fails((await EndingJob.performLater('discarded')).result(), 'gone');
    const cancelled = fails(waiting.result(), 'gone');
    await Job.cancel(waiting.id);
    await cancelled;
    const plain = await PlainJob.performLater();
    await fails(plain.result(), 'not kept', /^PlainJob keeps no results: declare static/);
    await fails(PlainJob.result(plain.id), 'not kept');
    await until('it is done', () => system.eventsNamed('job.succeeded').length === 1);
    await fails(Job.result(plain.id), 'gone');
    assert.deepEqual(await finished(), []);
  });

  it('are not waited for by a call that cannot be meant', async () => {
    const { id } = await EchoJob.performLater(1);
    await assert.rejects(EchoJob.result('7'), { name: 'TypeError', message: /7/ });
    await assert.rejects(EchoJob.result(id, { timeout: '10 parsecs' as '10s' }), {
      name: 'TypeError',
      message: /^EchoJob\.result: timeout is "10 parsecs"; give/,
    });
    await assert.rejects(
      transaction(() => EchoJob.result(id)),
      { name: 'TypeError', message: /in a transaction/ },
    );
    for (const keep of ['soon', 0, null, {}, { for: '7d', limit: 0 }, { for: '7d', limit: 1.5 }]) {
      class WrongJob extends Job {
        static override keep = keep as '7d';
        perform(): void {}
      }
      assert.throws(() => compileOptions(WrongJob as JobClass), { name: 'TypeError', message: /^WrongJob: keep/ });
    }
  });

  it('that cannot be kept cost nothing else: the job is done, once, and the log says so', async () => {
    await work();
    const odd = await OddJob.performLater('a function');
    await fails(odd.result(), 'not kept', /the result of OddJob \.list\[0\] is a function/);
    const long = await OddJob.performLater('too long');
    await fails(long.result(), 'not kept', /has 1200002 bytes of JSON; at most 1048576/);
    assert.equal(await (await OddJob.performLater('nothing')).result(), undefined);
    assert.deepEqual(
      system.eventsNamed('job.result-lost').map(({ id }) => id),
      [odd.id, long.id],
    );
    assert.deepEqual([system.eventsNamed('job.retrying'), (await finished()).length], [[], 3]);
  });

  it('come with the attempts, the time, the place and the lines of the run that was the last', async () => {
    await work();
    const job = await EndingJob.performLater('retried');
    assert.equal(await job.result(), 2);
    const [row] = await finished();
    const { run, log } = JSON.parse(row?.ending ?? '') as Record<string, Record<string, unknown>>;
    assert.deepEqual([row?.attempts, run?.attempt, run?.pid], [1, 2, process.pid]);
    assert.ok(Number(run?.ms) >= 0 && Number(run?.at) > 0);
    assert.deepEqual(
      Object.values(log ?? {}).map((line) => [(line as { text: string }).text, (line as { fields: object }).fields]),
      [['about to fail', { attempt: 2 }]],
    );
    assert.deepEqual(
      system.eventsNamed('job.log').map(({ id, text }) => [id, text]),
      Array(2).fill([job.id, 'about to fail']),
    );
  });

  it('are kept by a commit, in its transaction', async () => {
    await work();
    await system.postgres.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
      create trigger refuse before insert on job_finished for each row execute function refuse()`);
    const job = await CommittingJob.performLater();
    await until('its commit has failed', () => system.eventsNamed('job.retrying').length === 1);
    assert.deepEqual([await system.postgres.query('select run from effects'), await finished()], [[], []]);
    await system.postgres.query('drop function refuse cascade');
    await system.postgres.query('update job_queue set run_at = clock_timestamp()');
    await system.postgres.query("select pg_notify('job_queue', 'look')");
    assert.deepEqual(await job.result(), { run: 2 });
    assert.deepEqual(await system.postgres.query('select run from effects'), [{ run: 2 }]);
    assert.match((await finished())[0]?.ending ?? '', /"text":"committed"/);
  });

  it('of classes that encrypt are stored encrypted, as those of their steps are, and without lines', async () => {
    await work();
    const job = await SecretJob.performLater(SECRET);
    await until('the step is done', () => gate.held === 1);
    const stored = async (table: string) =>
      JSON.stringify(await system.postgres.query(`select row_to_json(job) as row from ${table} as job`));
    assert.match(await stored('job_queue'), /"find":\{"at":\d+,"result":"2026a\.[\w.-]+","encrypted":true\}/);
    assert.doesNotMatch(await stored('job_queue'), new RegExp(SECRET));
    gate.open();
    assert.deepEqual(await job.result(), [`${SECRET}!`]);
    assert.match(await stored('job_finished'), /\\"result\\":\\"2026a\./);
    assert.doesNotMatch(await stored('job_finished'), new RegExp(SECRET));
    // A result belongs to its job.
    const other = await SecretJob.performLater('flu');
    assert.deepEqual(await other.result(), ['flu!']);
    await system.postgres.query(
      `update job_finished set ending = (select ending from job_finished where id = '${job.id}') where id = '${other.id}'`,
    );
    await assert.rejects(other.result(), /the encrypted result of SecretJob cannot be read/);
  });

  it('come with so many lines as have room, as they were', async () => {
    await work();
    await (await LoudJob.performLater()).result();
    const [row] = await finished();
    const { log, linesLeftOut } = JSON.parse(row?.ending ?? '') as { log: unknown[]; linesLeftOut: number };
    assert.equal(log.length + linesLeftOut, 100);
    assert.ok(log.length > 50 && (row?.ending.length ?? 0) < 66_000);
    assert.match(row?.ending ?? '', /"last":1\}/);
    assert.doesNotMatch(row?.ending ?? '', /"last":2/);
  });

  it('are a set, whose jobs operators search, run again and delete', async () => {
    await work();
    gate.open();
    const done = (job: { id: string; result: () => Promise<unknown> }) => job.result().then(() => job.id);
    const seven = await done(await ReportJob.performLater(7));
    const eight = await done(await ReportJob.set({ priority: -3 }).performLater(8));
    const secret = await done(await SecretJob.performLater('flu'));
    const latest = await done(await LatestJob.performLater('flu'));
    const admin = new JobAdmin(setSources(system));
    const set = admin.set('finished');
    const shown = async (filter: object) => (await set.page(filter)).entries.map(({ id }) => id);
    assert.deepEqual(await shown({}), [latest, secret, eight, seven]);
    assert.deepEqual(await shown({ tag: 'report' }), [eight, seven]);
    assert.deepEqual(await shown({ class: 'ReportJob', text: seven.toUpperCase() }), [seven]);
    assert.deepEqual(await shown({ text: 'flu' }), []);
    assert.deepEqual([await set.count({ since: new Date(0) }), await set.count({ until: new Date(0) })], [4, 0]);
    const found = await admin.find(seven);
    assert.deepEqual([found.place, found.ending?.run?.attempt, found.entry?.tags], ['finished', 1, ['report']]);
    await assert.rejects(admin.act('retry', 'finished', seven), /retry is not for finished jobs/);

    const count = (selection: object) => admin.act('rerun', 'finished', selection as { filter: object });
    assert.deepEqual(await count({ ids: [secret, latest] }), { moved: 2, complete: true });
    assert.deepEqual(await count({ filter: { class: 'ReportJob' } }), { moved: 2, complete: true });
    await until('the copies are done', async () => (await set.count()) === 8);
    const urgent = await system.postgres.query('select from job_finished where priority = -3');
    assert.equal(urgent.length, 2);
    assert.equal(await system.jobCount(), 0);
    for (const [jobClass, first] of [
      [SecretJob, secret],
      [LatestJob, latest],
    ] as const) {
      const again = (await set.page({ class: jobClass.name })).entries.map(({ id }) => id);
      assert.equal(again.length, 2);
      assert.deepEqual(await jobClass.result(again.find((id) => id !== first) ?? ''), ['flu!']);
    }
    assert.deepEqual(await ReportJob.result(seven), { shop: 7, token: 'tok_secret' });

    assert.deepEqual(await admin.act('delete', 'finished', { filter: { tag: 'report' } }), {
      moved: 4,
      complete: true,
    });
    await fails(ReportJob.result(seven), 'gone');
    assert.equal(await set.count(), 4);
  });

  it('are shown, run again and deleted by commands, redacted as arguments are', async () => {
    await work();
    gate.open();
    const commandLine = new CommandLine(system, CLASSES, { equipment: { setup: {} } });
    const { id } = await ReportJob.performLater(7);
    await ReportJob.result(id);
    const secret = await SecretJob.performLater('flu');
    await secret.result();
    const { text } = await commandLine.run('list finished');
    assert.match(text, new RegExp(`${id} +ReportJob +default +0 .* \\[7\\]`));
    const show = await commandLine.run(`show ${id}`);
    assert.match(show.text, /^State +done, and kept$/m);
    assert.match(show.text, /^Result +\{"shop":7,"token":"\[FILTERED\]"\}$/m);
    assert.match(show.text, /^Run +run 1, .*, by \S+ \d+$|^Run +run 1, .*, by .+$/m);
    assert.match(show.text, /^ {2}\S+Z wrote it \{"rows":7,"token":"\[FILTERED\]"\}$/m);
    assert.deepEqual((show.json.ending as { result: object }).result, { shop: 7, token: '[FILTERED]' });
    assert.match((await commandLine.run(`show ${secret.id}`)).text, /^Result +\(encrypted\)$/m);
    assert.match((await commandLine.run(`rerun ${id}`)).text, /^Enqueued copies of 1 job\.$/m);
    await until('the copy is done', async () => (await finished()).length === 3);
    assert.match((await commandLine.run('delete --all --set finished --yes')).text, /^Deleted 3 finished jobs\.$/m);
    assert.deepEqual(await finished(), []);
  });

  it('are deleted when their time is over, or their class has newer ones enough', async () => {
    const insert = (name: string, count: number, limit: number, until = '1 hour') =>
      system.postgres.query(
        `insert into job_finished (id, queue, class, payload, attempts, tags, search, ending, keep_until, keep_limit, finished_at)
         select gen_random_uuid(), 'default', '${name}', '{}', 0, '{}', '', n, now() + interval '${until}', ${limit},
           now() - n * interval '1 second' from generate_series(1, ${count}) as n`,
      );
    await insert('ManyJob', 2500, 3);
    await insert('FewJob', 5, 5);
    await insert('OldJob', 1200, 5000, '-1 second');
    await insert('ZJob', 2, 1);
    assert.equal(await pruneFinished(system.database.knex), false);
    const left = await system.postgres.query(
      'select class, array_agg(ending::int order by ending::int) as endings from job_finished group by class order by class',
    );
    assert.deepEqual(left, [
      { class: 'FewJob', endings: [1, 2, 3, 4, 5] },
      { class: 'ManyJob', endings: [1, 2, 3] },
      { class: 'ZJob', endings: [1] },
    ]);
    await insert('ManyJob', 10, 3);
    await system.processor(CLASSES, { tuning: { dispatch: { lookMs: 20, upkeepMs: 20 } } });
    const count = () => system.postgres.query<{ n: number }>(`select count(*)::int as n from job_finished`);
    await until('the leader has deleted the oldest', async () => (await count())[0]?.n === 9);
  });
});
