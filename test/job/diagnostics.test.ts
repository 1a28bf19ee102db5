import assert from 'node:assert/strict';
import diagnosticsChannel from 'node:diagnostics_channel';
import { publishDiagnostics } from '../../lib/core/diagnostics';
import { runInContext } from '../../lib/core/execution-context';
import { DiscardJob, KillJob, RateLimited, Snooze } from '../../lib/job/definition/errors';
import { Job } from '../../lib/job/job';
import { guideFields } from '../support/diagnostics-guide';
import { until } from '../support/until';
import { Gate } from './gate';
import { useJobSystem } from './job-system';

const gate = new Gate();

const FIELDS = [...guideFields()].filter(([channel]) => channel.startsWith('job.'));

/** Ends its first run in the way that it is told, and its second one well. */
class WayJob extends Job<[way: string]> {
  static override readonly expiresIn = '10m';

  async perform(way: string): Promise<void> {
    if (this.context.attempt > 1) return;
    if (way === 'job.retrying') throw new Error('once');
    if (way === 'job.dead') throw new KillJob('as told');
    if (way === 'job.discarded') throw new DiscardJob('as told');
    if (way === 'job.snoozed') throw new Snooze('1h');
    if (way === 'job.rate-limited') throw new RateLimited({ after: '1h' });
    if (way === 'job.cancelled' || way === 'job.released') await gate.pass(this.context.signal);
    if (way === 'job.fenced') await gate.pass();
  }
}

class AbsentJob extends Job {
  perform(): void {}
}

type Message = Readonly<Record<string, unknown>>;

describe('the diagnostics channels of jobs', () => {
  const heard: (readonly [channel: string, message: Message])[] = [];
  const system = useJobSystem({ gate, empty: [heard] });
  const hear = (message: unknown, name: string | symbol) =>
    heard.push([String(name).replace('catamount.', ''), message as Message]);
  before(() => {
    publishDiagnostics(system.events);
    for (const [name] of FIELDS) diagnosticsChannel.subscribe(`catamount.${name}`, hear);
  });
  after(() => {
    for (const [name] of FIELDS) diagnosticsChannel.unsubscribe(`catamount.${name}`, hear);
  });

  const on = (channel: string) => heard.flatMap(([name, message]) => (name === channel ? [message] : []));
  const enqueue = (way: string) => runInContext({ requestId: 'r-1' }, () => WayJob.performLater(way));
  const runs = () => until('it runs', () => gate.held === 1);

  /** Makes each channel's event happen. */
  const MAKE: Readonly<Record<string, () => Promise<unknown>>> = {
    'job.enqueued': () => enqueue(''),
    'job.started': () => enqueue(''),
    'job.succeeded': () => enqueue(''),
    'job.retrying': () => enqueue('job.retrying'),
    'job.snoozed': () => enqueue('job.snoozed'),
    'job.rate-limited': () => enqueue('job.rate-limited'),
    'job.discarded': () => enqueue('job.discarded'),
    'job.dead': () => enqueue('job.dead'),
    'job.expired': async () => {
      await system.stopProcessors();
      await enqueue('');
      await system.postgres.query("update job_queue set run_at = run_at - interval '1 hour'");
      await system.processor([WayJob]);
    },
    'job.cancelled': async () => {
      const { id } = await enqueue('job.cancelled');
      await runs();
      await Job.cancel(id, { reason: 'no longer wanted' });
    },
    'job.released': async () => {
      await enqueue('job.released');
      await runs();
      await system.stopProcessors();
    },
    'job.left': () => runInContext({ requestId: 'r-1' }, () => AbsentJob.performLater()),
    'job.fenced': async () => {
      await enqueue('job.fenced');
      await runs();
      await system.postgres.query("update job_queue set claimed_by = 'another process'");
      gate.open();
    },
  };

  for (const [channel, fields] of FIELDS) {
    it(`have ${channel}, with the fields that the guide names`, async () => {
      await system.processor([WayJob]);
      const make = MAKE[channel] ?? assert.fail(`nothing here makes ${channel} happen`);
      await make();
      const [message = {}] = await until(channel, () => on(channel).length > 0 && on(channel));
      assert.deepEqual(Object.keys(message).sort(), fields);
      const empty = Object.entries(message).filter(([, value]) => value === undefined);
      assert.deepEqual([message.version, empty], [1, []]);
      const isRun = fields.includes('requestId');
      assert.deepEqual([message.queue, message.requestId], ['default', isRun ? 'r-1' : undefined]);
    });
  }

  it('close what job.started opens: each run has one end', async () => {
    await system.processor([WayJob]);
    await system.skipWaits();
    const ways = ['', 'job.retrying', 'job.dead', 'job.discarded'];
    for (const way of ways) await enqueue(way);
    await until('all have ended', async () => (await system.jobCount()) === 0);
    const ends = ['job.succeeded', 'job.retrying', 'job.dead', 'job.discarded'];
    await until('all ends were told', () => ends.flatMap(on).length === 5);
    assert.deepEqual(
      heard
        .map(([name]) => name)
        .filter((name) => name !== 'job.enqueued')
        .sort(),
      [...Array(5).fill('job.started'), 'job.succeeded', 'job.succeeded', ...ends.slice(1)].sort(),
    );
  });
});
