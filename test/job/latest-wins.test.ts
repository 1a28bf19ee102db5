import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Batch } from '../../lib/job/batch';
import { JobCancelledError } from '../../lib/job/definition/errors';
import { compileOptions } from '../../lib/job/definition/options';
import { RowEnqueuer } from '../../lib/job/enqueue/row-enqueuer';
import { Job } from '../../lib/job/job';
import { keyringOf } from '../../lib/job/record/encryption';
import { Database } from '../../lib/model/database';
import { transaction } from '../../lib/model/transaction';
import { Deadline } from '../../lib/support/deadline';
import { runs } from '../fuzz/campaign';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();
const KEY = { id: '2026a', key: randomBytes(32).toString('base64') };
/** What ran, in order. */
const ran: string[] = [];
const running = new Map<string, number>();
let mostAtOnce = 0;

/** Runs for as long as the gate is closed, unless `n` is even. */
async function work(key: string, n: number | string, signal: AbortSignal): Promise<void> {
  running.set(key, (running.get(key) ?? 0) + 1);
  mostAtOnce = Math.max(mostAtOnce, running.get(key) ?? 0);
  try {
    if (typeof n === 'number' && n % 2 === 1) await gate.pass(signal);
    else await new Promise(setImmediate);
  } finally {
    running.set(key, (running.get(key) ?? 0) - 1);
  }
  ran.push(`${key} ${n}`);
}

class SyncJob extends Job<[page: string, n: number]> {
  static override readonly unique = { by: (page: string) => page, onConflict: 'replace' } as const;
  async perform(page: string, n: number): Promise<void> {
    await work(page, n, this.context.signal);
    if (n === 1) throw new Error('as asked');
  }
  override afterDiscard(error: Error): void {
    ran.push(error instanceof JobCancelledError ? `cancelled: ${error.reason}` : error.name);
  }
}

class FlakyJob extends Job<[fails: boolean]> {
  static override readonly unique = { by: () => 1, onConflict: 'replace' } as const;
  async perform(fails: boolean): Promise<void> {
    ran.push(`${this.context.attempt} ${(await this.resumeFrom()) ?? 'from the start'}`);
    await this.checkpoint('half');
    if (fails) throw new Error('as asked');
  }
}

class SecretJob extends Job<[page: string, secret: string]> {
  static override readonly encrypt = true;
  static override readonly unique = { by: (page: string) => page, onConflict: 'replace' } as const;
  async perform(page: string, secret: string): Promise<void> {
    ran.push(`${page} ${secret}`);
  }
}

class SearchJob extends Job<[page: string, n: number]> {
  static override readonly debounce = { wait: '5s', maxWait: '1m', key: (page: string) => page } as const;
  perform(page: string, n: number): Promise<void> {
    return work(page, n, this.context.signal);
  }
}

class QuickJob extends Job<[n: number]> {
  static override readonly debounce = { wait: 100, maxWait: 300 };
  perform(n: number): Promise<void> {
    return work('', n, this.context.signal);
  }
}

/** A throttle that the test ends by moving the time of its key. */
class ReportJob extends Job<[shop: string, n: number]> {
  static override readonly throttle = { per: '1h', key: (shop: string) => shop } as const;
  perform(shop: string, n: number): Promise<void> {
    return work(shop, n, this.context.signal);
  }
}

class AlertJob extends Job<[n: number]> {
  static override readonly throttle = { per: '1h', onConflict: 'discard' } as const;
  perform(n: number): Promise<void> {
    return work('', n, this.context.signal);
  }
}

class ChainJob extends Job<[key: string, n: string]> {
  static override readonly unique = { by: (key: string) => key, onConflict: 'wait' } as const;
  static override retryIn() {
    return 50;
  }
  async perform(key: string, n: string): Promise<void> {
    await work(key, n, this.context.signal);
    if (n === 'fails' && this.context.attempt === 1) throw new Error('as asked');
  }
}

const CLASSES = [SyncJob, FlakyJob, SecretJob, SearchJob, QuickJob, ReportJob, AlertJob, ChainJob];

describe('the latest enqueue wins', () => {
  const system = useJobSystem({
    gate,
    dependencies: { keys: keyringOf([KEY]) },
    reset: () => {
      running.clear();
      ran.length = mostAtOnce = 0;
    },
  });
  const rows = () =>
    system.postgres.query<{
      id: string;
      state: string;
      args: unknown[];
      tags: string[];
      seconds: number;
      key: boolean;
    }>(
      `select id, state, payload -> 'args' as args, tags, unique_key is not null as key,
         round(extract(epoch from run_at - clock_timestamp()))::int as seconds from job_queue order by id`,
    );
  const nothingLeft = () => until('no job is left', async () => (await system.jobCount()) === 0);
  const begun = (n = 1) => until('it runs', () => gate.held === n);

  it('with replace, a job that waits gets the arguments, tags and time of the later enqueue, and keeps its id', async () => {
    const first = await SyncJob.set({ tags: ['old'], wait: '1h' }).performLater('a', 2);
    const other = await SyncJob.performLater('b', 2);
    const later = await SyncJob.set({ tags: ['new'], wait: '1m' }).performLater('a', 4);
    assert.deepEqual(later, { id: first.id, enqueued: true, replaced: true });
    assert.deepEqual(system.eventsNamed('job.replaced'), [{ id: first.id, class: 'SyncJob', queue: 'default' }]);
    const [row] = await rows();
    assert.deepEqual(row, { id: first.id, state: 'scheduled', args: ['a', 4], tags: ['new'], seconds: 60, key: true });
    await SyncJob.performLater('a', 6);
    await system.processor(CLASSES);
    await nothingLeft();
    assert.deepEqual(ran.sort(), ['a 6', 'b 2']);
    assert.notEqual(other.id, first.id);
  });

  it('with replace, a job that waits for now keeps its place, and the last of a bulk counts', async () => {
    const { id } = await SyncJob.performLater('a', 2);
    await system.postgres.query(`update job_queue set run_at = run_at - interval '1 hour'`);
    const results = await SyncJob.performAllLater([
      ['a', 4],
      ['a', 6],
      ['b', 2],
    ]);
    assert.deepEqual(
      results.map((result) => [result.id === id, result.enqueued && result.replaced === true]),
      [
        [true, true],
        [true, true],
        [false, false],
      ],
    );
    const found = (await rows()).map(({ args, seconds }) => [args, Math.round(seconds / 60)]);
    assert.deepEqual(found, [
      [['a', 6], -60],
      [['b', 2], 0],
    ]);
  });

  it('with replace, an enqueue waits behind the job that runs, and is replaced there', async () => {
    await system.processor(CLASSES);
    const first = await SyncJob.performLater('a', 3);
    await begun();
    const second = await SyncJob.performLater('a', 4);
    assert.notEqual(second.id, first.id);
    assert.deepEqual(await SyncJob.performLater('a', 6), { id: second.id, enqueued: true, replaced: true });
    gate.open();
    await nothingLeft();
    assert.deepEqual([ran, mostAtOnce], [['a 3', 'a 6'], 1]);
    assert.equal(system.eventsNamed('job.cancelled').length, 0);
  });

  it('with replace, a run that fails is not repeated when a later one waits', async () => {
    await system.processor(CLASSES);
    const { id } = await SyncJob.performLater('a', 1);
    await begun();
    await SyncJob.performLater('a', 4);
    gate.open();
    await nothingLeft();
    assert.deepEqual(ran, ['a 1', 'cancelled: replaced by a later enqueue', 'a 4']);
    assert.deepEqual(
      system.eventsNamed('job.cancelled').map((event) => [event.id, event.was]),
      [[id, 'running']],
    );
    assert.equal(system.eventsNamed('job.retrying').length, 0);
  });

  it('with replace, a job whose key was taken can still be cancelled while it runs', async () => {
    await system.processor(CLASSES);
    const { id } = await SyncJob.performLater('a', 3);
    await begun();
    await SyncJob.performLater('a', 4);
    assert.equal(await Job.cancel(id, { reason: 'why' }), 'requested');
    await nothingLeft();
    assert.deepEqual(ran, ['cancelled: why', 'a 4']);
  });

  it('with replace, a job that waits for its retry begins anew', async () => {
    await system.processor(CLASSES);
    const { id } = await FlakyJob.performLater(true);
    await until('it waits', () => system.eventsNamed('job.retrying').length === 1);
    assert.deepEqual(await FlakyJob.performLater(false), { id, enqueued: true, replaced: true });
    await nothingLeft();
    assert.deepEqual(ran, ['1 from the start', '1 from the start']);
  });

  it('a rollback takes the later enqueue back, and nobody claims the job before the commit', async () => {
    await SyncJob.performLater('a', 2);
    const rolledBack = transaction(async () => {
      await SyncJob.performLater('a', 4);
      throw new RangeError('no');
    });
    await assert.rejects(rolledBack, RangeError);
    assert.deepEqual(
      (await rows()).map(({ args }) => args),
      [['a', 2]],
    );
    await SyncJob.performLater('b', 2);
    await transaction(async () => {
      await SyncJob.performLater('a', 6);
      await system.processor(CLASSES);
      await until('another has run', () => ran.length > 0);
    });
    await nothingLeft();
    assert.deepEqual(ran, ['b 2', 'a 6']);
  });

  it('with replace, a job leaves its batch for that of the later enqueue', async () => {
    const of = (n: number) =>
      Batch.create({ onSuccess: SearchJob.prepare('done', n) }, (batch) => batch.add(SyncJob.prepare('a', n)));
    const [first, second] = [await of(2), await of(4)];
    await system.processor(CLASSES);
    await until(
      'both callbacks are enqueued',
      async () => (await first.status())?.state === 'succeeded' && (await second.status())?.state === 'succeeded',
    );
    assert.deepEqual(ran, ['a 4']);
  });

  it('encrypted arguments are replaced, too, and nobody else can read them', async () => {
    const { id } = await SecretJob.performLater('a', 'old');
    assert.equal((await SecretJob.performLater('a', 'new')).id, id);
    const other = await SecretJob.performLater('b', 'of b');
    await system.postgres.query(
      `update job_queue set payload = (payload::jsonb || jsonb_build_object('encrypted', (
         select payload -> 'encrypted' from job_queue where id = '${id}')))::json where id = '${other.id}'`,
    );
    await system.processor(CLASSES, { jobs: { encryptionKeys: [KEY] } });
    await nothingLeft();
    assert.deepEqual(ran, ['a new']);
    assert.deepEqual(await system.deadIds(), [other.id]);
  });

  it('a debounced job is postponed by each enqueue, at most until maxWait after the first', async () => {
    const { id } = await SearchJob.performLater('a', 2);
    await SearchJob.performLater('b', 2);
    assert.equal((await SearchJob.performLater('a', 4)).id, id);
    const [at] = await rows();
    assert.deepEqual([at?.state, at?.args, at?.seconds], ['scheduled', ['a', 4], 5]);
    await system.postgres.query(
      `update job_queue set unique_until = unique_until - interval '57 seconds', run_at = run_at - interval '4 seconds'`,
    );
    await SearchJob.performLater('a', 6);
    assert.deepEqual((await rows()).map(({ seconds }) => seconds)[0], 3);
    await SearchJob.set({ wait: '10m' }).performLater('a', 8);
    assert.deepEqual((await rows()).map(({ seconds }) => seconds)[0], 600);
    await SearchJob.set({ wait: 0 }).performLater('a', 10);
    await system.processor(CLASSES);
    await until('it has run at once', () => ran.includes('a 10'));
  });

  it('a debounced job that is due keeps waiting for its slot after maxWait, with the last arguments', async () => {
    await SearchJob.performLater('a', 2);
    await system.postgres.query(
      `update job_queue set unique_until = clock_timestamp() - interval '1 second', state = 'held', run_at = clock_timestamp() - interval '1 minute'`,
    );
    await SearchJob.performLater('a', 4);
    assert.deepEqual(
      (await rows()).map(({ state, args, seconds }) => [state, args, seconds]),
      [['held', ['a', 4], -60]],
    );
    // The next one begins a new time.
    await system.processor(CLASSES);
    await nothingLeft();
    await SearchJob.performLater('a', 6);
    assert.equal((await rows())[0]?.seconds, 5);
  });

  it('a throttled job runs at once, and what follows leads to one run at the end of the time', async () => {
    await system.processor(CLASSES);
    await ReportJob.performLater('a', 2);
    await until('it has run', () => ran.length === 1);
    await ReportJob.performLater('b', 2);
    await until('the other key has run', () => ran.length === 2);
    for (const n of [4, 6, 8]) await ReportJob.performLater('a', n);
    const admitted = () =>
      system.postgres.query(`select 1 from job_rates where look_at > clock_timestamp() + interval '50 minutes'`);
    await until('it waits for the end of the hour', async () => (await admitted()).length > 0);
    await until('one waits', async () => (await system.jobCount()) === 1);
    assert.deepEqual(
      (await rows()).map(({ state, args }) => [state, args]),
      [['held', ['a', 8]]],
    );
    await system.postgres.query(
      `update job_rates set arrival = arrival - interval '1 hour', look_at = clock_timestamp()`,
    );
    await system.postgres.query(`select pg_notify('job_queue', 'look')`);
    await nothingLeft();
    assert.deepEqual(ran, ['a 2', 'b 2', 'a 8']);
  });

  it('with discard, a throttled job is not enqueued within the time', async () => {
    await system.processor(CLASSES);
    await AlertJob.performLater(3);
    await begun();
    const { reason } = await AlertJob.performLater(4);
    assert.ok(reason === 'throttled' || reason === 'duplicate');
    gate.open();
    await nothingLeft();
    const { id, ...result } = await AlertJob.performLater(6);
    assert.deepEqual(result, { enqueued: false, reason: 'throttled' });
    assert.deepEqual(system.eventsNamed('job.throttled').at(-1), { id, class: 'AlertJob', queue: 'default' });
    await system.postgres.query(`update job_rates set arrival = arrival - interval '1 hour'`);
    assert.equal((await AlertJob.performLater(8)).enqueued, true);
    await nothingLeft();
    assert.deepEqual(ran, [' 3', ' 8']);
  });

  it('with wait, jobs of a key run one after the other in order, also when one is retried', async () => {
    const all = ['first', 'fails', 'third', 'fourth'];
    await ChainJob.performAllLater(all.flatMap((n) => [['a', n] as const, ['b', n] as const]));
    await system.processor(CLASSES, { jobs: { concurrency: 8 } });
    await nothingLeft();
    for (const key of ['a', 'b']) {
      const ofKey = ran.filter((line) => line.startsWith(key));
      assert.deepEqual(
        ofKey,
        ['first', 'fails', 'fails', 'third', 'fourth'].map((n) => `${key} ${n}`),
      );
    }
    assert.equal(mostAtOnce, 1);
  });

  it('after a storm of many processes one job waits, with the last arguments, whatever runs meanwhile', async () => {
    await system.processor(CLASSES, { jobs: { concurrency: 4 } });
    await system.processor(CLASSES, { jobs: { concurrency: 4 } });
    const processes = [1, 2, 3].map(() => {
      const database = new Database(system.postgres.url, { production: false, events: system.events, poolMax: 3 });
      return { database, enqueuer: new RowEnqueuer(database.knex, undefined, system.events) };
    });
    const enqueueBy = (n: number, jobClass: typeof SyncJob | typeof QuickJob) => {
      const { enqueuer } = processes[n % processes.length] ?? assert.fail('none');
      Job.connect(enqueuer);
      return jobClass === SyncJob ? SyncJob.performLater('s', n) : QuickJob.performLater(n);
    };
    try {
      const property = fc.asyncProperty(
        fc.array(fc.record({ size: fc.integer({ min: 1, max: 12 }), quick: fc.boolean() }), {
          minLength: 1,
          maxLength: 5,
        }),
        async (bursts) => {
          ran.length = mostAtOnce = 0;
          for (const { size, quick } of bursts)
            await Promise.all(Array.from({ length: size }, (_, n) => enqueueBy(2 * n + 2, quick ? QuickJob : SyncJob)));
          await enqueueBy(1000, SyncJob);
          await enqueueBy(1000, QuickJob);
          await nothingLeft();
          assert.deepEqual([ran.filter((line) => line.startsWith('s')).at(-1), mostAtOnce], ['s 1000', 1]);
          assert.equal(ran.filter((line) => line.endsWith(' 1000')).length, 2);
          assert.equal(ran.filter((line) => line.startsWith(' ')).at(-1), ' 1000');
        },
      );
      await fc.assert(property, runs(25));
    } finally {
      for (const { database } of processes) await database.stop(Deadline.after(5000));
    }
  });

  it('is refused with options that make no sense', () => {
    const wrong = (options: object, message: RegExp) => {
      const jobClass = Object.assign(
        class WrongJob extends Job {
          perform(): void {}
        },
        options,
      );
      assert.throws(() => compileOptions(jobClass), message);
    };
    wrong(
      { unique: { onConflict: 'drop' } },
      /WrongJob: unique.onConflict is "drop"; give 'discard', 'replace' or 'wait'/,
    );
    wrong(
      { unique: { onConflict: 'replace', ttl: '1h' } },
      /WrongJob: unique.onConflict is 'replace'; leave out until and ttl/,
    );
    wrong(
      { unique: { onConflict: 'wait', until: 'executing' } },
      /WrongJob: unique.onConflict is 'wait'; leave out until/,
    );
    wrong({ unique: { onConflict: 'wait' }, rate: { limit: 1, per: 9 } }, /'wait', by one key; leave out rate/);
    wrong({ unique: true, debounce: { wait: 1, maxWait: 2 } }, /WrongJob has unique and debounce; give one of them/);
    wrong({ debounce: true }, /WrongJob: debounce.wait is undefined; give a length of time/);
    wrong({ debounce: { wait: '5s' } }, /WrongJob: debounce.maxWait is undefined/);
    wrong({ debounce: { wait: '5s', maxWait: '4s' } }, /WrongJob: debounce.maxWait is "4s", less than its wait/);
    wrong({ debounce: { wait: '5s', maxWait: '9s', key: 'a' } }, /WrongJob: debounce.key is "a"; give a function/);
    wrong({ throttle: { per: 'soon' } }, /WrongJob: throttle.per is "soon"/);
    wrong(
      { throttle: { per: '1m', onConflict: 'wait' } },
      /WrongJob: throttle.onConflict is "wait"; give 'replace' or 'discard'/,
    );
    wrong(
      { throttle: { per: '1m' }, limit: { count: 1 } },
      /WrongJob: throttle is a rate of its own, by one key; leave out limit/,
    );
  });
});
