import assert from 'node:assert/strict';
import { runInContext } from '../../../lib/core/execution-context';
import { DiscardJob, KillJob } from '../../../lib/job/definition/errors';
import type { ErrorReport } from '../../../lib/job/definition/setup';
import { Job } from '../../../lib/job/job';
import { ErrorReporter } from '../../../lib/job/perform/error-reporter';
import { Deadline } from '../../../lib/support/deadline';
import { deferred } from '../../../lib/support/deferred';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';

type Login = { readonly name: string; readonly password: string };

type How = 'retry' | 'kill' | 'discard';

class LoginJob extends Job<[how: How, login: Login]> {
  perform(how: How, _login: Login): void {
    throw new (how === 'kill' ? KillJob : how === 'discard' ? DiscardJob : Error)(how);
  }
}

class SecretJob extends Job<[address: string]> {
  static override logArguments = false;

  perform(_address: string): void {
    throw new KillJob('no use');
  }
}

describe('the error reporter', () => {
  let reporter: ErrorReporter | undefined;
  const system = useJobSystem();
  afterEach(() => reporter?.stop(Deadline.after(30_000)));

  const start = async (report: (given: ErrorReport) => unknown) => {
    reporter = new ErrorReporter(system.events, report);
    await reporter.start();
    await system.processor([LoginJob, SecretJob]);
  };
  const given = { name: 'Ann', password: 'hunter2' };

  it('reports each failed attempt, with secret arguments filtered', async () => {
    const reports: ErrorReport[] = [];
    await start((report) => reports.push(report));
    const ids: string[] = [];
    for (const how of ['retry', 'kill', 'discard'] as const) {
      const { id } = await runInContext({ requestId: `r-${how}` }, () => LoginJob.performLater(how, given));
      ids.push(id);
    }
    await until('all three failures are reported', () => reports.length === 3);
    reports.sort((a, b) => ids.indexOf(a.id ?? '') - ids.indexOf(b.id ?? ''));
    assert.deepEqual(
      reports.map(({ error, ...report }) => ({ ...report, message: error.message })),
      [
        ['retrying', 'retry'],
        ['dead', 'kill'],
        ['discarded', 'discard'],
      ].map(([kind, how], i) => ({
        kind,
        message: how,
        class: 'LoginJob',
        id: ids[i],
        queue: 'default',
        attempt: 1,
        args: [how, { name: 'Ann', password: '[FILTERED]' }],
        requestId: `r-${how}`,
      })),
    );
  });

  it('reports no arguments of a class with logArguments = false', async () => {
    const reports: ErrorReport[] = [];
    await start((report) => reports.push(report));
    await SecretJob.performLater('ann@example.com');
    const [report] = await until('the death is reported', () => (reports.length > 0 ? reports : undefined));
    assert.equal(report?.kind, 'dead');
    assert.ok(report && !('args' in report));
  });

  it('reports errors of Redis, Postgres, the queues and the schedule', async () => {
    const reports: ErrorReport[] = [];
    await start((report) => reports.push(report));
    const error = new Error('trouble');
    system.events.emit('database.error', { error });
    system.events.emit('process.error', { error, during: 'a task' });
    system.events.emit('cron.error', { error });
    system.events.emit('cron.error', { error, name: 'nightly' });
    system.events.emit('queue.error', { error, during: 'fetching jobs' });
    assert.deepEqual(
      reports.map(({ kind, during }) => [kind, during]),
      [
        ['postgres', undefined],
        ['process', 'a task'],
        ['cron', 'enqueuing recurring jobs'],
        ['cron', 'enqueuing the recurring job nightly'],
        ['queue', 'fetching jobs'],
      ],
    );
    await system.redisServer.kill();
    await until('the loss of Redis is reported', () => reports.some(({ kind }) => kind === 'redis'));
  });

  it('logs each failure of reportError once, does not report it, and affects no job', async () => {
    let calls = 0;
    await start(() => {
      calls++;
      if (calls === 1) throw new Error('the tracker is down');
      return Promise.reject(new Error('it still is'));
    });
    await LoginJob.performLater('discard', given);
    await LoginJob.performLater('kill', given);
    await until('both failures are logged', () => system.eventsNamed('process.error').length === 2);
    assert.deepEqual(
      system.eventsNamed('process.error').map(({ error, during }) => `${during}: ${error.message}`),
      ["the app's reportError: the tracker is down", "the app's reportError: it still is"],
    );
    assert.equal(calls, 2);
    await until('the killed job is dead', async () => (await system.deadIds()).length === 1);
  });

  it('drops reports while 1000 are unanswered, and logs that once', async () => {
    const answers: (() => void)[] = [];
    reporter = new ErrorReporter(system.events, () => new Promise<void>((resolve) => answers.push(resolve)));
    await reporter.start();
    const trouble = () => system.events.emit('database.error', { error: new Error('trouble') });
    for (let n = 0; n < 1100; n++) trouble();
    assert.equal(answers.length, 1000);
    assert.deepEqual(
      system.eventsNamed('process.error').map(({ error }) => error.message),
      ['1000 reports are unanswered; further ones are dropped until some have been'],
    );
    for (const answer of answers.splice(0)) answer();
    await new Promise(setImmediate);
    trouble();
    assert.equal(answers.length, 1, 'reports are sent again');
    answers[0]?.();
  });

  it('delays no job, only its own stop', async () => {
    const sent = deferred();
    await start(() => sent.promise);
    await LoginJob.performLater('kill', given);
    await until('the job is dead meanwhile', () => system.eventsNamed('job.dead')[0]);
    let stopped = false;
    const stopping = reporter?.stop(Deadline.after(10_000)).then(() => {
      stopped = true;
    });
    await new Promise(setImmediate);
    assert.equal(stopped, false);
    sent.resolve();
    await stopping;
  });
});
