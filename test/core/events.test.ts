import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';

describe('events', () => {
  it('reach their listeners until these are removed', () => {
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
});
