import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';

describe('events', () => {
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
