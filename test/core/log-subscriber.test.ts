import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { logEvents } from '../../lib/core/log-subscriber';
import { createLogger } from '../../lib/core/logger';

describe('the log subscriber', () => {
  function listen(level: 'debug' | 'warn') {
    const lines: Record<string, unknown>[] = [];
    const destination = { write: (text: string) => void lines.push(JSON.parse(text)) };
    const log = { level, format: 'json', file: null } as Parameters<typeof createLogger>[0]['log'];
    const events = new Events();
    logEvents(events, createLogger({ log }, 'jobs', destination));
    return { events, lines };
  }

  /** A job's run, and how often its arguments were asked for. */
  function job(args: readonly string[] | undefined = ['Ann']) {
    const asked = { times: 0 };
    const show = () => {
      asked.times++;
      return args;
    };
    return { asked, run: { id: 'j-1', class: 'GreetJob', queue: 'default', attempt: 2, requestId: 'r-1', args: show } };
  }

  it('asks for arguments only when the line is written', () => {
    for (const [level, times] of [
      ['debug', 1],
      ['warn', 0],
    ] as const) {
      const { events, lines } = listen(level);
      const { asked, run } = job();
      events.emit('job.started', { ...run, waitedMs: 3 });
      assert.deepEqual([asked.times, lines.length], [times, times]);
    }
  });

  it('says of a failure whose it was, with which arguments, for which request', () => {
    const { events, lines } = listen('warn');
    const { run } = job();
    const error = new Error('busy');
    events.emit('job.retrying', { ...run, waitMs: 15_000, error });
    events.emit('job.dead', { ...run, reason: 'busy (the last of 2 attempts)', error });
    events.emit('job.dead', { ...job(undefined).run, args: () => undefined, reason: 'busy', error });
    assert.deepEqual(
      lines.map(({ msg, jobId, requestId, args }) => ({ msg, jobId, requestId, args })),
      [
        { msg: 'GreetJob failed (attempt 2), again in 15 s: busy', jobId: 'j-1', requestId: 'r-1', args: ['Ann'] },
        { msg: 'GreetJob is dead: busy (the last of 2 attempts)', jobId: 'j-1', requestId: 'r-1', args: ['Ann'] },
        { msg: 'GreetJob is dead: busy', jobId: 'j-1', requestId: 'r-1', args: undefined },
      ],
    );
  });

  it('says who has steered what', () => {
    const { events, lines } = listen('debug');
    events.emit('operator.cron', { action: 'pause', name: 'nightly', via: 'cli (ada)' });
    events.emit('operator.process', { order: 'quiet', process: 'tree-0', via: 'cli (ada)' });
    assert.deepEqual(
      lines.map(({ level, msg }) => `${level}: ${msg}`),
      [
        'info: pause recurring job nightly, asked by cli (ada)',
        'info: job processor tree-0 is to quiet, asked by cli (ada)',
      ],
    );
  });

  it('warns of a job that does not heed its timeout', () => {
    const { events, lines } = listen('warn');
    events.emit('job.overdue', { id: 'j-1', class: 'GreetJob', queue: 'default', ageMs: 70_000 });
    assert.equal(
      lines[0]?.msg,
      'GreetJob goes on after its timeout, for 70.0 s by now: it should heed this.context.signal',
    );
    assert.equal(lines[0]?.jobId, 'j-1');
  });
});
