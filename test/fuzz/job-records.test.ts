import assert from 'node:assert/strict';
import fc from 'fast-check';
import { logEvents } from '../../lib/core/event-catalog';
import { Events } from '../../lib/core/events';
import { createLogger } from '../../lib/core/logging';
import type { Delivery } from '../../lib/job/fetch/fetch-call';
import { Job } from '../../lib/job/job';
import { JobRegistry } from '../../lib/job/job-registry';
import { ErrorReporter } from '../../lib/job/perform/error-reporter';
import { Executor } from '../../lib/job/perform/executor';
import { deserializeArguments } from '../../lib/job/record/argument-decoder';
import { describeJob } from '../../lib/job/sets/entry';
import { JobStats } from '../../lib/job/stats/collector';
import { cases, runs, SEED, withShortStacks } from './campaign';
import { JOB_SEEDS, JOB_WORDS } from './job-record-seeds';
import { Mutator } from './mutator';

class PlainJob extends Job<[]> {
  async perform(): Promise<void> {
    this.context.enqueuedAt.getTime();
    if (this.context.tags.includes('fails')) throw new Error('as its tag asked for');
    await this.progress(1);
    await this.resumeFrom();
  }
}

class RuledJob extends Job<[]> {
  static {
    RuledJob.retryOn(Error, { attempts: 3 });
  }

  perform(): void {
    throw new Error('always');
  }

  override afterDiscard(): void {}
}

/** Whatever a record holds, its run has an outcome that Redis can record, and no listener to its events fails. */
describe('records of jobs, read from Redis', () => {
  withShortStacks();
  const broken: unknown[] = [];
  const events = new Events();
  events.on('process.error', (event) => broken.push(event));
  logEvents(
    events,
    createLogger({ log: { level: 'debug', format: 'json', file: null } }, 'jobs', { write: () => undefined }),
  );
  new JobStats().listen(events);
  const executor = new Executor({
    registry: new JobRegistry([PlainJob, RuledJob]),
    events,
    maxDeliveries: 3,
    onFinished: () => undefined,
    onDied: () => undefined,
    decode: (args) => deserializeArguments(args, {}),
    releaseUnique: async () => undefined,
  });
  before(() => new ErrorReporter(events, () => undefined).start());

  async function check(record: string, deliveries: number): Promise<void> {
    const delivery: Delivery = { id: 'id-1', queue: 'default', record, deliveries, fence: `${deliveries}:t` };
    const { outcome, recorded } = await executor.perform(delivery);
    assert.ok(['complete', 'discard', 'retry', 'dead', 'release'].includes(outcome.op));
    recorded(true);
    recorded(false);
    assert.deepEqual(broken, [], record);
    for (const text of 'record' in outcome ? [record, outcome.record] : [record]) {
      describeJob({ id: 'id-1', queue: 'default', set: 'dead', at: new Date(0), text, progress: record });
    }
    if (!('record' in outcome)) return;
    if (outcome.op === 'retry') assert.ok(Number.isFinite(outcome.dueAt));
    if (outcome.record !== record) JSON.parse(outcome.record);
  }

  it('have an outcome that Redis can record, whatever their shape', () => {
    const odd = fc.oneof(
      { weight: 3, arbitrary: fc.constant(undefined) },
      fc.constantFrom(null, 0, -1, 1.5, 1e300, '', 'x', 'PlainJob', '__proto__', 'constructor', [], {}, [[]], true),
      fc.jsonValue({ maxDepth: 3 }),
    );
    const maybe = <T>(usual: fc.Arbitrary<T>) => fc.oneof({ weight: 2, arbitrary: usual }, odd);
    const named = fc.constantFrom('PlainJob', 'RuledJob', 'GoneJob', '');
    const data = fc.record(
      {
        v: maybe(fc.constant(1)),
        class: maybe(named),
        args: maybe(fc.array(fc.jsonValue())),
        via: odd,
        attrs: odd,
        tags: maybe(fc.array(fc.string())),
        unique: odd,
        enqueuedAt: odd,
      },
      { requiredKeys: [] },
    );
    const options = fc.record(
      {
        timestamp: odd,
        dueAt: odd,
        delay: odd,
        stacktraces: maybe(fc.array(maybe(fc.string()))),
        failures: odd,
        attempts: odd,
        attemptsBy: maybe(fc.dictionary(fc.string(), odd)),
        reason: odd,
        noted: odd,
        cursor: odd,
      },
      { requiredKeys: [] },
    );
    const record = fc.record(
      { data: maybe(data), options: maybe(options), status: odd, progress: odd },
      { requiredKeys: [] },
    );
    return fc.assert(
      fc.asyncProperty(maybe(record), fc.integer({ min: 1, max: 6 }), (value, deliveries) =>
        check(JSON.stringify(value) ?? 'null', deliveries),
      ),
      runs(6000),
    );
  });

  it('have an outcome whatever their bytes', async () => {
    const mutator = new Mutator(SEED, JOB_WORDS);
    for (let n = cases(9000); n > 0; n--) await check(mutator.mutate(JOB_SEEDS).toString('utf8'), 1 + (n % 5));
  });

  it('have an outcome when they are nested 100,000 levels deep', async () => {
    for (const depth of [1000, 100_000]) {
      for (const nest of [
        `${'['.repeat(depth)}${']'.repeat(depth)}`,
        `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
      ]) {
        await check(JOB_SEEDS[0].replace('"args":[', `"args":[${nest},`), 1);
        await check(JOB_SEEDS[1].replace('"options":{', `"options":{"more":${nest},`), 1);
      }
    }
  });
});
