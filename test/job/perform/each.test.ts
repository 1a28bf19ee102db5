import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Knex } from 'knex';
import { JobCancelledError } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { JobRegistry } from '../../../lib/job/job-registry';
import type { EachOptions } from '../../../lib/job/perform/each';
import { createExecutor, type Executor } from '../../../lib/job/perform/executor';
import { claim } from '../../../lib/job/row/claim';
import { recordOutcomes } from '../../../lib/job/row/end';
import { readInstallation } from '../../../lib/job/row/installation';
import { Model } from '../../../lib/model/model';
import { transaction } from '../../../lib/model/transaction';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

/** A property has a hundred times as many runs in `npm run fuzz`. */
const RUNS = 15 * Number(process.env.FUZZ_SCALE ?? 1);
const SEED = Number(process.env.FUZZ_SEED ?? 7);

class Thing extends Model {
  static override readonly tableName = 'things';
  static override readonly timestamps = false;
  id!: string;
  a!: number;
  madeAt!: Date;
}

class Pair extends Model {
  static override readonly tableName = 'things';
  static override readonly idColumn = ['a', 'b'];
  static override readonly timestamps = false;
  id!: string;
}

/** What the rows are called in the logs, each call an entry. */
const log: string[][] = [];
let knex: Knex;
/** What the next calls of the work do, by their number. */
let atCall: (ids: readonly string[]) => unknown = () => undefined;

/** Stops the process of the run. */
let halt = () => {};

const note = async (rows: readonly { readonly id: string }[]) => {
  const ids = rows.map(({ id }) => id);
  await atCall(ids);
  log.push(ids);
};

/** The queries of the property, by their order. All keys are unique; those of time differ by microseconds. */
const QUERIES = {
  primary: () => Thing.query().where('a', '<', 900).orWhere('id', '>', 0),
  composite: () => Pair.query().select('id'),
  bigint: () => knex<Thing>('things').where('a', '<', 900).orWhere('a', '>', -1).orderBy('id', 'desc'),
  uuid: () => knex<Thing>('things').select('id').orderBy('uid'),
  text: () => Thing.query().orderBy([{ column: 'name', order: 'desc' }]),
  time: () => Thing.query().orderBy('made_at'),
  two: () => knex<Thing>('things').joinRaw('join kinds using (a)').orderBy(['a', 'b']).select('things.*'),
} as const;

type Order = keyof typeof QUERIES;

class ThingsJob extends Job<[order: Order, options: EachOptions]> {
  static override retry = { limit: 100 };

  async perform(order: Order, options: EachOptions): Promise<void> {
    const { batch } = options;
    const query = QUERIES[order]() as ReturnType<(typeof QUERIES)['primary']>;
    if (batch === undefined) await this.each(query, { fetch: options.fetch ?? 500 }, (row) => note([row]));
    else await this.each(query, { batch }, note);
  }
}

class BriefThingsJob extends ThingsJob {
  static override maxRuntime = 1;
}

/** Goes over numbers by itself, and then over things, in two steps. */
class NumbersJob extends Job {
  async perform(): Promise<void> {
    async function* numbers(from = 0) {
      for (let n = from; n < 5; n++) yield [{ id: `n${n}` }, n + 1] as const;
    }
    await this.step('numbers', () => this.each(numbers, { batch: 2 }, note));
    await this.step('things', () => this.each(Thing.query().where('a', '<', 2), (thing) => note([thing])));
  }
}

/** Its process stops, or the like, while the second item is fetched. */
class HaltedJob extends Job {
  async perform(): Promise<void> {
    function* items(from = 0) {
      for (let n = from; n < 3; n++) {
        if (n === 1 && from === 0) halt();
        yield [{ id: `${n}` }, n + 1] as const;
      }
    }
    await this.each(items, (item) => note([item]));
  }
}

/** Each call is refused, with nothing done. */
class MisusedJob extends Job {
  static override retry = { limit: 0 };

  async perform(): Promise<void> {
    let steps = 0;
    const refused = async (query: unknown, message: RegExp, options: EachOptions = {}) => {
      const call = () =>
        this.each(query as Promise<unknown[]>, { ...options } as { readonly batch?: never }, () => log.push(['no']));
      const name = options === OPTIONS || query instanceof Promise ? 'TypeError' : 'KeysetError';
      await assert.rejects(this.step(`${steps++}`, call), { name, message });
    };
    const things = () => knex('things');
    await refused(things(), /^the query has no order: give it one/);
    await refused(things().orderBy('a').orderBy('b', 'desc'), /go in different directions/);
    await refused(things().orderByRaw('id'), /not by plain columns/);
    await refused(things().orderBy('id').limit(5), /^a query with LIMIT/);
    await refused(Thing.query().offset(1), /^a query with OFFSET/);
    await refused(things().distinct('a').orderBy('a'), /^a query with DISTINCT/);
    await refused(things().select('a').groupBy('a').orderBy('a'), /^a query with GROUP BY/);
    await refused(things().select('a').union(things().select('b')).orderBy('a'), /^a query with UNION/);
    await refused(things().orderBy('id').update({ a: 1 }), /^a query with UPDATE/);
    await refused(Thing.query().findById(1), /does not return a list of rows/);
    await refused(things().orderBy('a'), /^two rows have the same a \(0\): add a unique column/);
    await refused(things().orderBy(['a', 'note']), /^note is NULL in a row/);
    await refused(Promise.resolve([]), /^MisusedJob\.each needs a query/);
    await refused(things().orderBy('id'), /^MisusedJob\.each: fetch is 0/, OPTIONS);
    const none = () => this.each(things().orderBy('id').where('id', 0), () => undefined);
    await assert.rejects(transaction(none), /each was called in a transaction/);
    await none();
    await assert.rejects(none, /each was called twice in one run/);
    log.push(['all refused']);
  }
}

const OPTIONS: EachOptions = { fetch: 0 };

/** Its first run goes by another order than its second. */
class ReorderedJob extends Job {
  static override retry = { limit: 1 };

  async perform(): Promise<void> {
    const order = this.context.attempt === 1 ? 'id' : 'uid';
    await this.each(knex<Thing>('things').orderBy(order), { progress: false }, (row) => note([row]));
  }
}

/** Does something before, around and after its items, by the words of Sidekiq's hooks. */
class SurroundedJob extends Job {
  async perform(): Promise<void> {
    function* items(from = 0) {
      for (let n = from; n < 3; n++) yield [{ id: `${n}` }, n + 1] as const;
    }
    await this.step('start', () => log.push(['start']));
    if ((await this.resumeFrom()) !== undefined) log.push(['resume']);
    try {
      await this.each(items, async (item) => {
        log.push(['around']);
        await note([item]);
      });
      log.push(['complete']);
    } finally {
      log.push(['stop']);
    }
  }

  override afterDiscard(error: Error): void {
    log.push([error instanceof JobCancelledError ? 'cancel' : error.message]);
  }
}

const CLASSES = [HaltedJob, ThingsJob, BriefThingsJob, NumbersJob, MisusedJob, ReorderedJob, SurroundedJob];

describe('each', () => {
  const system = useJobSystem({ empty: [log] });
  before(async () => {
    knex = system.database.knex;
    Thing.knex(knex);
    Pair.knex(knex);
    await system.postgres.query(`create table things (
      id bigint primary key, uid uuid not null, name text not null, made_at timestamptz not null, a int not null, b int not null,
      note text, unique (a, b))`);
    await system.postgres.query('create table kinds (a int primary key)');
    await system.postgres.query('insert into kinds select generate_series(0, 99)');
  });
  beforeEach(() => {
    atCall = () => undefined;
    return fill(20);
  });

  /** Makes rows, of which an order by one column is not that by another. */
  async function fill(rows: number): Promise<void> {
    await system.postgres.query('truncate things');
    await system.postgres.query(
      `insert into things (id, uid, name, made_at, a, b)
       select 9007199254740993 + n, gen_random_uuid(), md5(n::text) || 'é''"', timestamptz '2026-01-01' + n * 7 % 31 * interval '1 microsecond', n / 4, -n
       from generate_series(0, $1 - 1) as n`,
      [rows],
    );
  }
  const ordered = async (order: Order) => {
    const query = QUERIES[order]();
    const rows = (await (order === 'primary'
      ? knex('things').orderBy('id')
      : order === 'composite'
        ? knex('things').orderBy(['a', 'b'])
        : query)) as { id: string }[];
    return rows.map(({ id }) => id);
  };
  const stored = async () => {
    const [row] = await system.postgres.query<{ cursor: { done: number; total: number }; progress: number }>(
      'select cursor, progress from job_queue',
    );
    return row && { done: row.cursor.done, total: row.cursor.total, progress: row.progress };
  };

  /** Delivers the only job of the queue until it has gone. A crash leaves a run behind that never goes on. */
  async function deliver(end: (executor: Executor, crash: () => void) => void, max = 200): Promise<string[]> {
    const outcomes: string[] = [];
    const { here: origin } = await readInstallation(knex);
    for (let delivery = 0; delivery < max; delivery++) {
      await system.postgres.query(
        `update job_queue set state = 'ready', claimed_by = null, deliveries = 0, run_at = clock_timestamp()`,
      );
      const identity = `process ${delivery}`;
      const ids = (await system.postgres.query<{ id: string }>('select id from job_queue')).map(({ id }) => id);
      const [delivered] = await claim(knex, { identity, origin }, { ids });
      if (!delivered) return outcomes;
      const { events } = system;
      const registry = new JobRegistry(CLASSES);
      const tuning = { checkpointMs: 60_000 };
      const executor = createExecutor({ knex, identity, registry, events, setup: {}, models: undefined, tuning });
      const crashed = new Promise<undefined>((resolve) => end(executor, () => resolve(undefined)));
      const result = await Promise.race([executor.perform(delivered), crashed]);
      if (result) await recordOutcomes(knex, identity, [{ delivery: delivered, outcome: result.outcome }]);
      outcomes.push(result?.outcome.op ?? 'crash');
    }
    throw new Error(`the job has not ended after ${max} deliveries`);
  }

  it('has done each row once, in order, whatever fails, stops, crashes and is deleted meanwhile', async () => {
    const seen = new Set<string>();
    const event = fc.record({
      what: fc.constantFrom('fail', 'stop', 'crash', 'delete'),
      call: fc.nat(30),
      row: fc.nat(30),
    });
    const run = async (
      order: Order,
      batch: number | undefined,
      fetch: number,
      rows: number,
      isBrief: boolean,
      events: readonly { what: string; call: number; row: number }[],
    ) => {
      await fill(rows);
      await system.postgres.query('truncate job_queue');
      log.length = 0;
      const before = await ordered(order);
      const deleted = new Set<string>();
      const crashedIn = new Set<string>();
      const open = [...events];
      let calls = 0;
      let live: { executor: Executor; crash: () => void } | undefined;
      atCall = async (ids) => {
        calls++;
        for (const { what, row } of open.filter(({ call }) => call === calls)) {
          const id = before[row % Math.max(1, before.length)];
          if (what === 'delete' && id) {
            deleted.add(id);
            await system.postgres.query('delete from things where id = $1', [id]);
          }
          if (what === 'fail') throw new Error('as told');
          if (what === 'stop') live?.executor.abort(new Error('the process stops'));
          if (what === 'crash') {
            for (const crashed of ids) crashedIn.add(crashed);
            // It has done the batch, and could not say so.
            log.push([...ids]);
            live?.crash();
            await new Promise(() => undefined);
          }
        }
      };
      const options = batch === undefined ? { fetch } : { batch };
      await (isBrief ? BriefThingsJob : ThingsJob).performLater(order, options);
      const outcomes = await deliver((executor, crash) => {
        live = { executor, crash };
      });
      for (const outcome of outcomes) seen.add(outcome);
      const times = new Map<string, number>();
      for (const id of log.flat()) times.set(id, (times.get(id) ?? 0) + 1);
      const missed = before.filter((id) => !deleted.has(id) && !times.has(id));
      // One by one, places are stored four times a second only, so that a crash may repeat more.
      const mayRepeat = batch === undefined && crashedIn.size > 0;
      const repeated = [...times].filter(([id, n]) => n > 1 && !crashedIn.has(id) && !mayRepeat);
      assert.deepEqual({ missed, repeated }, { missed: [], repeated: [] });
      const places = log.flat().map((id) => before.indexOf(id));
      if (crashedIn.size === 0)
        assert.deepEqual(
          places,
          [...places].sort((a, b) => a - b),
          'in order',
        );
      if (batch !== undefined) assert.ok(log.every((ids) => ids.length <= batch));
    };
    const orders = Object.keys(QUERIES) as Order[];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...orders),
        fc.option(fc.integer({ min: 1, max: 7 }), { nil: undefined }),
        fc.integer({ min: 1, max: 12 }),
        fc.nat(31),
        fc.boolean(),
        fc.array(event, { maxLength: 6 }),
        run,
      ),
      { numRuns: RUNS, seed: SEED },
    );
    for (const order of orders) await run(order, 3, 1, 31, false, []);
    const all = ['fail', 'stop', 'crash', 'delete'].map((what, i) => ({ what, call: 2 * i + 1, row: 30 }));
    await run('composite', 3, 1, 31, false, all);
    await run('text', 3, 1, 31, true, all);
    assert.deepEqual([...seen].sort(), ['crash', 'delete', 'retry', 'return', 'snooze'], 'all ends were met');
  });

  it('gives models and rows as the query does, and shows how far it is', async () => {
    await ThingsJob.performLater('time', { fetch: 3 });
    const shown: unknown[] = [];
    let calls = 0;
    atCall = async () => {
      if (++calls === 6) throw new Error('half way');
      if (calls === 7) shown.push(await stored());
    };
    let keys: string[] = [];
    const query = QUERIES.time;
    await deliver(() => undefined);
    class LookJob extends Job {
      async perform(): Promise<void> {
        await this.each(query(), (thing) => {
          assert.ok(thing instanceof Thing && thing.madeAt instanceof Date);
          keys = Object.keys(thing).sort();
        });
      }
    }
    await LookJob.performNow();
    assert.deepEqual(keys, ['a', 'b', 'id', 'madeAt', 'name', 'note', 'uid']);
    assert.deepEqual(log.flat(), await ordered('time'));
    assert.deepEqual(shown, [{ done: 5, total: 20, progress: 0.25 }]);
  });

  it('has a place of its own in each step, also with cursors of an iterable', async () => {
    let calls = 0;
    atCall = () => {
      calls++;
      if (calls === 2 || calls === 5) throw new Error('once');
    };
    await NumbersJob.performLater();
    assert.deepEqual(await deliver(() => undefined), ['retry', 'retry', 'delete']);
    const things = (await ordered('bigint')).reverse().slice(0, 8);
    assert.deepEqual(log, [['n0', 'n1'], ['n2', 'n3'], ['n4'], ...things.map((id) => [id])]);
  });

  it('leaves what comes before, around and after to plain code, which knows a first run from a later one', async () => {
    let calls = 0;
    atCall = () => {
      if (++calls === 2) throw new Error('once');
    };
    await SurroundedJob.performLater();
    assert.deepEqual(await deliver(() => undefined), ['retry', 'delete']);
    const first = ['start', 'around', '0', 'around', 'stop'];
    assert.deepEqual(log.flat(), [...first, 'resume', 'around', '1', 'around', '2', 'complete', 'stop']);
    log.length = 0;
    const { id } = await SurroundedJob.performLater();
    const outcomes = await deliver((executor) => {
      atCall = () => executor.cancel(new Map([[id, 'enough']]));
    }, 1).catch(() => 'it has one run');
    assert.deepEqual([outcomes, log.flat()], ['it has one run', ['start', 'around', '0', 'stop', 'cancel']]);
  });

  it('begins no work when the run is to end', async () => {
    await HaltedJob.performLater();
    const outcomes = await deliver((executor) => {
      halt = () => {
        executor.abort(new Error('the process stops'));
        log.push(['halted']);
      };
    });
    assert.deepEqual(
      [outcomes, log],
      [
        ['return', 'delete'],
        [['0'], ['halted'], ['1'], ['2']],
      ],
    );
  });

  it('refuses what has no order of unique values, before any work', async () => {
    await system.postgres.query(`update things set note = id::text where id % 2 = 0`);
    await system.processor(CLASSES);
    await MisusedJob.performLater();
    await until('it has ended', () => system.eventsNamed('job.succeeded')[0] ?? system.eventsNamed('job.dead')[0]);
    assert.deepEqual(
      system.eventsNamed('job.dead').map(({ error }) => error.message),
      [],
    );
    assert.deepEqual(log, [['all refused']]);
  });

  it('refuses a place in another order', async () => {
    let calls = 0;
    atCall = () => {
      if (++calls === 3) throw new Error('once');
    };
    await ReorderedJob.performLater();
    assert.deepEqual(await deliver(() => undefined), ['retry', 'dead']);
    const [row] = await system.postgres.query<{ messages: string }>('select messages from job_dead');
    assert.match(row?.messages ?? '', /ReorderedJob\.each goes by uid, and the stored cursor is one by id/i);
    assert.equal(log.length, 2);
  });
});
