import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Events } from '../../../lib/core/events';
import { Job } from '../../../lib/job/job';
import { Lifecycle } from '../../../lib/job/processes/lifecycle';
import type { JobProcessor } from '../../../lib/job/processor';
import { Deadline } from '../../../lib/support/deadline';
import { deferred } from '../../../lib/support/deferred';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';

const gate = new Gate();
const heard: unknown[] = [];
/** What the hooks wait for, or throw. */
let hook = () => Promise.resolve();

class HeldJob extends Job {
  async perform(): Promise<void> {
    await gate.pass();
  }
}

describe("the app's hooks of a job processor", () => {
  const note = (what: unknown) => {
    heard.push(what);
    return hook();
  };
  const setup = {
    onQuiet: () => note('quiet'),
    onResume: () => note('resume'),
    onHeartbeat: (processor: object) => note(processor),
  };
  const system = useJobSystem({
    gate,
    empty: [heard],
    dependencies: { setup },
    reset: () => {
      hook = () => Promise.resolve();
    },
  });
  const start = (quiet = false): Promise<JobProcessor> =>
    system.processor([HeldJob], {
      tuning: { heartbeatMs: 20, stop: { runningJobsMs: 200 } },
      lineage: { identity: 'hooked', dead: [], quiet },
    });
  const changes = () => heard.filter((what) => typeof what === 'string');
  const beats = () => heard.filter((what) => typeof what === 'object');

  it('hear each change once, and a stop, one after the other', async () => {
    const processor = await start();
    const first = deferred();
    hook = () => first.promise;
    processor.quiet();
    processor.quiet();
    processor.resume();
    await until('the first is called', () => changes().length === 1);
    hook = () => Promise.resolve();
    first.resolve();
    await until('the second is called', () => changes().length === 2);
    await processor.stop(Deadline.after(30_000));
    processor.resume();
    assert.deepEqual(changes(), ['quiet', 'resume', 'quiet']);
  });

  it('hear that a processor starts quiet', async () => {
    const processor = await start(true);
    await until('it is quiet', () => changes()[0] === 'quiet');
    await processor.stop(Deadline.after(30_000));
    assert.deepEqual(changes(), ['quiet']);
  });

  it('hear heartbeats, which say how much runs, until the processor has stopped', async () => {
    const processor = await start();
    await HeldJob.performLater();
    await until('the job runs', () => gate.held === 1);
    const before = beats().length;
    await until('there are more heartbeats', () => beats().length > before + 2);
    assert.deepEqual(beats().at(-1), { running: 1, quiet: false });
    gate.open();
    await processor.stop(Deadline.after(30_000));
    const { length } = heard;
    await start();
    await until('another processor has its own', () => heard.length > length);
    assert.deepEqual(heard[length], { running: 0, quiet: false });
  });

  it('hear a heartbeat each ten seconds by default', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const lifecycle = new Lifecycle({
        hooks: setup,
        events: new Events(),
        snapshot: () => ({ running: [], quiet: true }),
      });
      lifecycle.start();
      for (const [ms, count] of [
        [9_999, 1],
        [1, 2],
      ] as const) {
        await setImmediate();
        mock.timers.tick(ms);
        assert.equal(beats().length, count);
      }
      await lifecycle.stop();
    } finally {
      mock.timers.reset();
    }
  });

  it('may fail: that is reported, and the processor goes on', async () => {
    hook = () => Promise.reject(new Error('no monitor'));
    const processor = await start();
    processor.quiet();
    processor.resume();
    await HeldJob.performLater();
    await until('the job runs', () => gate.held === 1);
    gate.open();
    await until('it is done', () => system.eventsNamed('job.succeeded').length === 1);
    const reported = system.eventsNamed('process.error').map(({ during, error }) => `${during}: ${error.message}`);
    const wanted = ['onHeartbeat', 'onQuiet', 'onResume'].map((name) => `the app's ${name}: no monitor`);
    assert.deepEqual([...new Set(reported)].sort(), wanted);
  });

  it('may hang: a stop waits as long as for running jobs, and says so', async () => {
    hook = () => new Promise(() => undefined);
    const processor = await start();
    await until('a heartbeat hangs', () => beats().length === 1);
    await processor.stop(Deadline.after(60_000));
    const [{ during } = { during: '' }] = system.eventsNamed('process.error');
    assert.match(during, /^the app's onQuiet, onResume or onHeartbeat$/);
    assert.equal(beats().length, 1);
  });
});
