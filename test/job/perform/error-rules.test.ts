import assert from 'node:assert/strict';
import type { EventName } from '../../../lib/core/events';
import { currentContext } from '../../../lib/core/execution-context';
import { JobTimeoutError, RecordGoneError, Snooze } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { Deadline } from '../../../lib/support/deadline';
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

const THROWN = { busy: new BusyError('busy'), lost: new LostError('lost'), gone: new GoneError('gone') };

class RescuedJob extends Job<[thrown: keyof typeof THROWN]> {
  static {
    this.rescueFrom(Error, () => assert.fail('a rule that was declared later comes first'));
    this.rescueFrom(Error, (error, job) => told.push([error.message, job.context.id === currentContext().jobId]));
  }

  async perform(thrown: keyof typeof THROWN): Promise<void> {
    throw THROWN[thrown];
  }
}

/** Its own rules come before those of its parent. */
class KeptJob extends RescuedJob {
  static override readonly keep = '1d';

  static {
    this.discardOn(GoneError);
    this.rescueFrom([LostError, BusyError], async (error) => {
      if (error instanceof BusyError) throw new GoneError('it is gone, too');
      return `${error.message} and found`;
    });
  }
}

/** Its handler rescues what it throws itself, were it asked again. */
class RethrownJob extends Job {
  static {
    this.rescueFrom(Error, (error) => {
      told.push(error.message);
      if (told.length === 1) throw new Error('still wrong');
    });
  }

  perform(): void {
    throw new Error('wrong');
  }
}

class TimedJob extends Job {
  static override readonly timeout = '10ms';

  static {
    this.rescueFrom(JobTimeoutError, (error) => told.push(error.timeoutMs));
  }

  async perform(): Promise<void> {
    const { signal } = this.context;
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  }
}

/** Its handler ends with the signal of its run. */
class StoppedJob extends Job {
  static {
    this.rescueFrom(Error, async (_, { context }) => {
      told.push(`rescue ${context.attempt}`);
      if (told.length > 1) return;
      await new Promise((_, reject) => context.signal.addEventListener('abort', () => reject(new Error('aborted'))));
    });
  }

  perform(): void {
    throw new Error('as asked');
  }
}

describe('rescueFrom', () => {
  const system = useJobSystem({ empty: [told] });
  const ended = (name: EventName) => until(name, () => system.eventsNamed(name).length > 0);

  it('makes the job done, by the rule that was declared last', async () => {
    await system.processor([RescuedJob]);
    await RescuedJob.performLater('lost');
    await ended('job.succeeded');
    assert.deepEqual(told, [['lost', true]]);
    await until('its row is gone', async () => (await system.jobCount()) === 0);
  });

  it('gives the job the result of the handler, and its error to the other rules', async () => {
    await system.processor([KeptJob]);
    const job = await KeptJob.performLater('lost');
    assert.equal(await job.result(), 'lost and found');
    await KeptJob.performLater('busy');
    await ended('job.discarded');
    const [{ error, attempt } = {}] = system.eventsNamed('job.discarded');
    assert.deepEqual([error?.message, attempt, told], ['it is gone, too', 1, []]);
  });

  it('does not rescue from what its handler throws: that is a failure of this attempt', async () => {
    await system.skipWaits();
    await system.processor([RethrownJob]);
    await RethrownJob.performLater();
    await ended('job.succeeded');
    const retries = system.eventsNamed('job.retrying').map(({ error, attempt }) => [error.message, attempt]);
    assert.deepEqual([retries, told], [[['still wrong', 1]], ['wrong', 'wrong']]);
  });

  it('sees the timeout of a run', async () => {
    await system.processor([TimedJob]);
    await TimedJob.performLater();
    await ended('job.succeeded');
    assert.deepEqual(told, [10]);
  });

  it('returns a job that a stop interrupts in its handler, and uses up no attempt', async () => {
    const stop = { runningJobsMs: 0, abortedJobsMs: 60_000 };
    const processor = await system.processor([StoppedJob], { tuning: { stop } });
    await StoppedJob.performLater();
    await until('the handler runs', () => told.length === 1);
    await processor.stop(Deadline.after(60_000));
    assert.equal(system.eventsNamed('job.released').length, 1);
    await system.processor([StoppedJob]);
    await ended('job.succeeded');
    assert.deepEqual(told, ['rescue 1', 'rescue 1']);
  });

  it('is for performNow, too, but not for what is no failure', async () => {
    assert.equal(await KeptJob.performNow('lost'), 'lost and found');
    await assert.rejects(KeptJob.performNow('busy'), /it is gone, too/);
    await assert.rejects(KeptJob.performNow('gone'), GoneError);
    class SnoozingJob extends RescuedJob {
      override async perform(_thrown: string): Promise<void> {
        throw new Snooze('5m');
      }
    }
    await assert.rejects(SnoozingJob.performNow('lost'), Snooze);
    await system.processor([SnoozingJob]);
    await SnoozingJob.performLater('lost');
    await ended('job.snoozed');
    assert.deepEqual(told, []);
  });

  it('needs a handler', () => {
    assert.throws(() => RescuedJob.rescueFrom(Error, 'log' as never), {
      name: 'TypeError',
      message: 'RescuedJob.rescueFrom: the handler is "log"; give a function of the error and the job',
    });
  });
});

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
