import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { NotConnectedError } from '../../lib/core/errors';
import { currentContext, runInContext } from '../../lib/core/execution-context';
import type { EnqueueRequest, JobArguments, UniqueOptions } from '../../lib/job/definition/job-class';
import { Job } from '../../lib/job/job';
import { Model } from '../../lib/model/model';

class GreetJob extends Job<[name: string, times?: number]> {
  static override queue = 'mailer';

  async perform(name: string, times = 1): Promise<string> {
    return `${name.repeat(times)} ${currentContext().requestId} ${currentContext().jobClass}`;
  }
}

class TellJob extends Job {
  static override jobName = 'tell';

  perform() {
    return this.context;
  }
}

describe('Job', () => {
  const requests: EnqueueRequest[] = [];
  before(() =>
    Job.connect({
      enqueue: async (given) => {
        requests.push(...given);
        return given.map(() => ({ id: 'an-id', enqueued: true }));
      },
      cancel: assert.fail,
      endings: () => assert.fail(),
      batches: assert.fail,
    }),
  );
  after(() => Job.connect(undefined));
  beforeEach(() => {
    requests.length = 0;
  });

  it('passes class, arguments and options to the enqueuer', async () => {
    assert.deepEqual(await GreetJob.performLater('Ann', 2), { id: 'an-id', enqueued: true });
    await TellJob.performLater();
    await GreetJob.set({ queue: 'slow', wait: '5m' }).performLater('Bob');
    const at = new Date(Date.now() + 3_600_000);
    await TellJob.set({ waitUntil: at }).performLater();
    const [plain, named, configured, timed] = requests;
    assert.deepEqual([plain?.name, plain?.args, plain?.queue], ['GreetJob', ['Ann', 2], 'mailer']);
    assert.deepEqual([named?.name, named?.queue], ['tell', 'default']);
    assert.deepEqual([configured?.queue, configured?.runAt], ['slow', { inMs: 300_000 }]);
    assert.deepEqual(timed?.runAt, { at });
  });

  it('accepts static options with an annotation or as const', async () => {
    class PlainlyJob extends Job<[name: string]> {
      static override readonly unique = { by: (name: string) => name, until: 'executing', ttl: '10m' } as const;
      static override readonly timeout = '5m';
      static override readonly cron = [
        { at: '0 3 * * *', timeZone: 'Asia/Seoul', catchUp: 'all', args: ['x'] },
      ] as const;
      perform(_name: string) {}
    }
    class TrulyJob extends Job {
      static override unique = true;
      static override cron = '0 3 * * *';
      perform() {}
    }
    class StrictlyJob extends Job {
      static override unique: UniqueOptions = { until: 'executed' };
      // @ts-expect-error not a value of until
      static wrong: UniqueOptions = { until: 'done' };
      perform() {}
    }
    class ConstJob extends Job {
      static override readonly unique = { until: 'executed' } as const;
      static override readonly timeout = '5m';
      perform() {}
    }
    class SatisfyingJob extends Job {
      static override unique = { until: 'executed' } satisfies UniqueOptions;
      perform() {}
    }
    // @ts-expect-error not a unit of time
    class ParsecsJob extends Job {
      static override readonly timeout = '5 parsecs';
      perform() {}
    }
    // @ts-expect-error not a unit of time in a ttl either
    class TtlJob extends Job {
      static override readonly unique = { ttl: '5 parsecs' } as const;
      perform() {}
    }
    // @ts-expect-error not a catch-up policy
    class CatchUpJob extends Job {
      static override readonly cron = { at: '@daily', catchUp: 'twice' } as const;
      perform() {}
    }
    // @ts-expect-error not a value of until
    class OddJob extends Job {
      static override unique = { until: 7 };
      perform() {}
    }
    // @ts-expect-error not a value of until
    class WrongJob extends Job {
      static override readonly unique = { until: 'done' } as const;
      perform() {}
    }
    assert.ok([OddJob, ParsecsJob, TtlJob, CatchUpJob]);
    await PlainlyJob.performLater('Ann');
    await TrulyJob.performLater();
    for (const other of [StrictlyJob, ConstJob, SatisfyingJob]) await other.performLater();
    assert.deepEqual(
      requests.map(({ unique }) => [unique?.until, unique?.ttlMs]),
      [['executing', 600_000], ...Array(4).fill(['executed', null])],
    );
    // @ts-expect-error invalid options make it no job class
    await assert.rejects(WrongJob.performLater(), /WrongJob: unique.until is "done"; give 'executed' or 'executing'/);
  });

  it('type-checks which arguments can be serialized', () => {
    class User extends Model {
      declare name: string;
    }
    class Money {
      constructor(readonly cents: number) {}
      double() {
        return this.cents * 2;
      }
    }
    type Plain = { readonly at: Date; readonly ids: readonly bigint[]; readonly user?: User };
    class RichJob extends Job<[at: Date, count: bigint, user: User, all: readonly Plain[], note?: string | null]> {
      perform(_at: Date, _count: bigint, _user: User, _all: readonly Plain[], _note?: string | null) {}
    }
    interface Line {
      readonly text: string;
      readonly at?: Date;
      readonly parts: readonly Line[];
    }
    class LinesJob extends Job<
      [first: Line, all: readonly Line[], byName: { readonly [name: string]: Line }, last?: Line]
    > {
      perform(_first: Line, _all: readonly Line[], _byName: { readonly [name: string]: Line }) {}
    }
    const neverRun = async () => {
      const user = new User();
      await RichJob.performLater(new Date(), 1n, user, [{ at: new Date(), ids: [1n], user }], null);
      const line: Line = { text: 'one', parts: [] };
      await LinesJob.performLater(line, [line], { first: line });
      // @ts-expect-error a line has parts
      await LinesJob.performLater({ text: 'one' }, [], {});
      // @ts-expect-error a string is not a Date
      await RichJob.performLater('2026-01-01', 1n, user, []);
      // @ts-expect-error a model of another class
      await RichJob.performLater(new Date(), 1n, new Model(), []);
    };
    abstract class AnyJob<A extends JobArguments> extends Job<A> {}
    class SomeJob extends AnyJob<[line: string]> {
      perform(_line: string) {}
    }
    interface Call {
      readonly call: () => void;
    }
    // @ts-expect-error an interface with a function
    class CallsJob extends Job<[calls: readonly Call[]]> {
      perform(_calls: readonly Call[]) {}
    }
    interface Bag {
      readonly all: Map<string, string>;
    }
    // @ts-expect-error an interface with a Map
    class BagJob extends Job<[bag: Bag]> {
      perform(_bag: Bag) {}
    }
    // @ts-expect-error an unknown value may not be serializable
    class UnknownJob extends Job<[what: unknown]> {
      perform(_what: unknown) {}
    }
    // @ts-expect-error an own class without a declared serializer
    class MoneyJob extends Job<[money: Money]> {
      perform(_money: Money) {}
    }
    // @ts-expect-error a Map within other values
    class MapsJob extends Job<[all: { readonly maps: readonly Map<string, string>[] }]> {
      perform() {}
    }
    // @ts-expect-error a function
    class CallJob extends Job<[call: () => void]> {
      perform(_call: () => void) {}
    }
    // @ts-expect-error a symbol
    class SymbolJob extends Job<[tag: symbol]> {
      perform(_tag: symbol) {}
    }
    assert.ok([
      neverRun,
      RichJob,
      SomeJob,
      CallsJob,
      BagJob,
      UnknownJob,
      MoneyJob,
      MapsJob,
      CallJob,
      SymbolJob,
      LinesJob,
    ]);
  });

  it('rejects invalid options', async () => {
    const later = (options: Parameters<typeof GreetJob.set>[0]) => GreetJob.set(options).performLater('Ann');
    await assert.rejects(later({ wait: 1, waitUntil: new Date() }), /either wait or waitUntil/);
    await assert.rejects(later({ wait: -1 }), /wait is -1/);
    for (const wait of [Number.POSITIVE_INFINITY, 1e20, '36526d'] as const) {
      await assert.rejects(later({ wait }), /wait is (Infinity|1000+|"36526d"); give .*, at most 36525d/);
    }
    await assert.rejects(later({ waitUntil: new Date(Number.NaN) }), /invalid Date/);
    await assert.rejects(later({ waitUntil: new Date(8.64e15) }), /\+275760-.*; give a date before the year 10000/);
    for (const tag of ['', 'a\0b', 'two\nlines', '\ud800', 'x'.repeat(201), 7 as never]) {
      await assert.rejects(later({ tags: ['fine', tag] }), /GreetJob: a tag is .*; give text of 1 to 200 characters/);
    }
    assert.equal(requests.length, 0);
    await later({ waitUntil: new Date(0), tags: ['한국 & 👨‍👩‍👧'] });
    assert.equal(requests[0]?.runAt, undefined, 'a time in the past means now');
  });

  it('rejects invalid arguments before the enqueuer sees them', async () => {
    const careless: { performLater(...args: unknown[]): Promise<unknown> } = GreetJob as never;
    await assert.rejects(careless.performLater.call(GreetJob, 'Ann', undefined), /GreetJob: argument 2 is undefined/);
  });

  it('runs at once with performNow, in a context of its own', async () => {
    const said = await runInContext({ requestId: 'r1' }, () => GreetJob.performNow('Ann', 2));
    assert.equal(said, 'AnnAnn r1 GreetJob');
    const before = new Date();
    const context = await TellJob.performNow();
    assert.match(context.id, /^[0-9a-f-]{36}$/);
    assert.deepEqual([context.attempt, context.queue, context.signal.aborted], [1, 'default', false]);
    assert.ok(context.enqueuedAt >= before && context.enqueuedAt.getTime() <= Date.now());
    assert.throws(() => new TellJob().context, NotConnectedError);
  });

  it('says what to do when nothing is connected', async () => {
    const enqueuer = {
      enqueue: async () => [],
      cancel: assert.fail,
      endings: () => assert.fail(),
      batches: () => assert.fail(),
    };
    Job.connect(undefined);
    await assert.rejects(
      GreetJob.performLater('Ann'),
      /GreetJob\.performLater was called in a process that is not connected/,
    );
    Job.connect(enqueuer);
  });

  it('loads neither an ORM nor Redis with its module', () => {
    const script = `require(${JSON.stringify(path.resolve(__dirname, '../../lib/job/job.ts'))});
      const heavy = Object.keys(require.cache).filter((file) => /node_modules\\/(knex|objection|pg|redis|@redis|bee-queue)\\//.test(file));
      process.stdout.write(JSON.stringify(heavy));`;
    assert.equal(execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { encoding: 'utf8' }), '[]');
  });
});
