import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { runInContext } from '../../lib/core/execution-context';
import { logEvents } from '../../lib/core/log-subscriber';
import { createLogger } from '../../lib/core/logger';

describe('events', () => {
  it('reach their listeners, until taken off', () => {
    const events = new Events();
    const heard: string[] = [];
    const off = events.on('process.warning', ({ message }) => heard.push(message));
    events.emit('process.warning', { message: 'one' });
    off();
    events.emit('process.warning', { message: 'two' });
    assert.deepEqual(heard, ['one']);
  });

  it('are not disturbed by a listener that throws, which is reported', () => {
    const events = new Events();
    const heard: string[] = [];
    events.on('process.warning', () => {
      throw new Error('bad listener');
    });
    events.on('process.warning', ({ message }) => heard.push(message));
    events.on('process.error', ({ error, during }) => heard.push(`${during}: ${error.message}`));
    events.emit('process.warning', { message: 'one' });
    assert.deepEqual(heard, ['a listener of process.warning: bad listener', 'one']);
  });

  it('become log lines that tell the process and the request', () => {
    const lines: string[] = [];
    const events = new Events();
    logEvents(
      events,
      createLogger({ log: { level: 'info', format: 'json', file: null } }, 'web.0', {
        write: (line) => lines.push(line),
      }),
    );
    runInContext({ requestId: 'r-1' }, () => events.emit('process.warning', { message: 'careful' }));
    const { level, process: name, msg, requestId } = JSON.parse(lines[0] ?? '{}');
    assert.deepEqual(
      { level, name, msg, requestId },
      { level: 'warn', name: 'web.0', msg: 'careful', requestId: 'r-1' },
    );
  });
});
