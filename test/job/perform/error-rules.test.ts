import assert from 'node:assert/strict';
import { currentContext } from '../../../lib/core/execution-context';
import { RecordGoneError } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

class BusyError extends Error {}
class LostError extends Error {}
class GoneError extends Error {}

const told: unknown[] = [];

class RuledJob extends Job<[errors: readonly string[]]> {
  static override retry = { limit: 1 };

  static {
    this.retryOn(BusyError, { wait: '1s', attempts: 3, jitter: 0 });
    this.retryOn(LostError, { attempts: 2 }, (error, job) => {
      told.push(['exhausted', error.message, job.context.attempt, job.greeting, currentContext().jobClass]);
    });
    this.discardOn(GoneError, async (error: GoneError, job) => {
      told.push(['discarded', error.message, job.context.id === currentContext().jobId]);
      throw new Error('the handler itself broke');
    });
  }

  readonly greeting = 'hello';

  perform(errors: readonly string[]): void {
    const { attempt } = this.context;
    const kind = errors[attempt - 1];
    if (kind === 'busy') throw new BusyError(`busy ${attempt}`);
    if (kind === 'lost') throw new LostError(`lost ${attempt}`);
    if (kind === 'gone') throw new GoneError(`gone ${attempt}`);
    if (kind === 'record') throw new RecordGoneError('User', '7');
    if (kind === 'other') throw new Error(`other ${attempt}`);
  }
}

class BrokenHandlerJob extends Job {
  static {
    this.retryOn(LostError, { attempts: 1 }, () => {
      throw new Error('nobody to tell');
    });
  }

  perform(): void {
    throw new LostError('lost');
  }
}

describe('retryOn and discardOn', () => {
  const system = useJobSystem({ empty: [told] });

  const dead = () => until('the job is dead', () => system.eventsNamed('job.dead')[0]);
  const discarded = () => until('the job is discarded', () => system.eventsNamed('job.discarded')[0]);

  it('count the errors of each rule separately', async () => {
    await system.skipWaits();
    await system.processor([RuledJob]);
    await RuledJob.performLater(['busy', 'other', 'busy', 'lost', 'busy']);
    const { reason, attempt } = await dead();
    assert.deepEqual([reason, attempt], ['busy 5 (the last of 3 attempts)', 5]);
    assert.deepEqual(
      system.eventsNamed('job.retrying').map(({ error }) => error.message),
      ['busy 1', 'other 2', 'busy 3', 'lost 4'],
    );
  });

  it('discard a job whose attempts are used up, and call the handler', async () => {
    await system.skipWaits();
    await system.processor([RuledJob]);
    await RuledJob.performLater(['lost', 'lost']);
    assert.equal((await discarded()).error.message, 'lost 2');
    assert.deepEqual(told, [['exhausted', 'lost 2', 2, 'hello', 'RuledJob']]);
    assert.deepEqual(system.eventsNamed('job.dead'), []);
  });

  it('let the job die when that handler fails', async () => {
    await system.processor([BrokenHandlerJob]);
    await BrokenHandlerJob.performLater();
    assert.equal((await dead()).reason, 'lost');
    assert.equal(system.eventsNamed('process.error')[0]?.error.message, 'nobody to tell');
  });

  it('discard the job even if the handler fails', async () => {
    await system.processor([RuledJob]);
    await RuledJob.performLater(['gone']);
    await discarded();
    assert.deepEqual(told, [['discarded', 'gone 1', true]]);
    assert.match(system.eventsNamed('process.error')[0]?.error.message ?? '', /the handler itself broke/);
    await until('its row is gone', async () => (await system.jobCount()) === 0);
  });
});
