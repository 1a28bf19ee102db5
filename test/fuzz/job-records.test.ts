import assert from 'node:assert/strict';
import fc from 'fast-check';
import { logEvents } from '../../lib/core/event-catalog';
import { Events } from '../../lib/core/events';
import { createLogger } from '../../lib/core/logging';
import { Job } from '../../lib/job/job';
import { JobRegistry } from '../../lib/job/job-registry';
import { ErrorReporter } from '../../lib/job/perform/error-reporter';
import { Executor } from '../../lib/job/perform/executor';
import { deserializeArguments } from '../../lib/job/record/argument-decoder';
import { describeRow } from '../../lib/job/sets/entry';
import { OutcomeCounter } from '../../lib/job/stats/collector';
import { deliveryOf } from '../job/sets/stored-job';
import { cases, runs, SEED, withShortStacks } from './campaign';
import { HISTORY_SEEDS, JOB_SEEDS, JOB_WORDS } from './job-record-seeds';
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

/** Whatever the row of a job holds, its run has an outcome that can be recorded, and no listener to its events fails. */
describe('payloads and histories of jobs', () => {
  withShortStacks();
  const broken: unknown[] = [];
  const events = new Events();
  events.on('process.error', (event) => broken.push(event));
  logEvents(events, createLogger({ log: { level: 'debug', format: 'json' } }, 'jobs', { write: () => undefined }));
  new OutcomeCounter().listen(events);
  const executor = new Executor({
    registry: new JobRegistry([PlainJob, RuledJob]),
    events,
    maxDeliveries: 3,
    decode: (args) => deserializeArguments(args, {}),
    releaseUnique: async () => undefined,
  });
  before(() => new ErrorReporter(events, () => undefined).start());

  async function check(payload: string, deliveries: number, history: string | null = null): Promise<void> {
    const { outcome, recorded } = await executor.perform(deliveryOf(payload, { history, deliveries }));
    assert.ok(['delete', 'retry', 'dead', 'leave', 'return'].includes(outcome.op));
    recorded(true);
    recorded(false);
    assert.deepEqual(broken, [], payload);
    const row = { id: 'id-1', queue: 'default', class: 'PlainJob', tags: [], attempts: 0, time: '', at: 0 };
    const described = describeRow('dead', { ...row, history, progress: null, payload, bytes: payload.length });
    assert.ok(described.unreadable === undefined || described.raw === payload);
    if (outcome.op === 'retry' || outcome.op === 'leave') assert.ok(outcome.waitMs >= 0);
    if (outcome.op !== 'retry' && outcome.op !== 'dead') return;
    const failure = outcome.op === 'retry' ? outcome : outcome.job;
    JSON.parse(failure.history);
    // Postgres stores neither NUL nor half a pair.
    assert.doesNotMatch(`${failure.error}${failure.messages}`, /\0|\p{Surrogate}/u);
    assert.ok(Number.isInteger(failure.attempts));
  }

  it('have an outcome that can be recorded, whatever their shape', () => {
    const odd = fc.oneof(
      { weight: 3, arbitrary: fc.constant(undefined) },
      fc.constantFrom(null, 0, -1, 1.5, 1e300, '', 'x', 'PlainJob', '__proto__', 'constructor', [], {}, [[]], true),
      fc.jsonValue({ maxDepth: 3 }),
    );
    const maybe = <T>(usual: fc.Arbitrary<T>) => fc.oneof({ weight: 2, arbitrary: usual }, odd);
    const named = fc.constantFrom('PlainJob', 'RuledJob', 'GoneJob', '');
    const payload = fc.record(
      {
        v: maybe(fc.constant(1)),
        class: maybe(named),
        args: maybe(fc.array(fc.jsonValue())),
        attrs: odd,
        tags: maybe(fc.array(fc.string())),
        unique: odd,
        enqueuedAt: odd,
      },
      { requiredKeys: [] },
    );
    const history = fc.record(
      {
        stacktraces: maybe(fc.array(maybe(fc.string()))),
        failures: odd,
        attemptsBy: maybe(fc.dictionary(fc.string(), odd)),
        reason: odd,
      },
      { requiredKeys: [] },
    );
    const json = (value: unknown) => JSON.stringify(value) ?? 'null';
    return fc.assert(
      fc.asyncProperty(maybe(payload), maybe(history), fc.integer({ min: 1, max: 6 }), (data, past, deliveries) =>
        check(json(data), deliveries, past === undefined ? null : json(past)),
      ),
      runs(6000),
    );
  });

  it('have an outcome whatever their bytes', async () => {
    const mutator = new Mutator(SEED, JOB_WORDS);
    const mutated = (seeds: readonly [string, ...string[]]) => mutator.mutate(seeds).toString('utf8');
    for (let n = cases(9000); n > 0; n--) {
      // A column of type json holds JSON, but any.
      const history = mutated(HISTORY_SEEDS);
      await check(mutated(JOB_SEEDS), 1 + (n % 5), isJson(history) ? history : null);
    }
  });

  it('have an outcome when they are nested 100,000 levels deep', async () => {
    for (const depth of [1000, 100_000]) {
      for (const nest of [
        `${'['.repeat(depth)}${']'.repeat(depth)}`,
        `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
      ]) {
        await check(JOB_SEEDS[0].replace('"args":[', `"args":[${nest},`), 1);
        await check(JOB_SEEDS[1].replace('"attrs":{', `"attrs":{"more":${nest},`), 1);
      }
    }
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
