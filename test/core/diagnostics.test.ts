import assert from 'node:assert/strict';
import diagnosticsChannel from 'node:diagnostics_channel';
import { publishDiagnostics } from '../../lib/core/diagnostics';
import { Events } from '../../lib/core/events';

describe('diagnostics channels', () => {
  const heard: unknown[] = [];
  const hear = (message: unknown) => heard.push(message);
  const events = new Events();
  publishDiagnostics(events);
  const run = { id: '1', class: 'WaveJob', queue: 'default', attempt: 2, requestId: 'r-1' };
  const secret = () => assert.fail('the arguments were read');

  beforeEach(() => {
    heard.length = 0;
    diagnosticsChannel.subscribe('catamount.job.started', hear);
  });
  afterEach(() => diagnosticsChannel.unsubscribe('catamount.job.started', hear));

  it('publishes an event at once, with a version and without arguments', () => {
    events.emit('job.started', { ...run, waitedMs: 12, args: secret });
    assert.deepEqual(heard, [{ version: 1, ...run, waitedMs: 12 }]);
  });

  it('publishes nothing to those who have unsubscribed, or listen to another channel', () => {
    events.emit('job.discarded', { ...run, error: new Error('late') });
    diagnosticsChannel.unsubscribe('catamount.job.started', hear);
    events.emit('job.started', { ...run, waitedMs: 12 });
    assert.deepEqual(heard, []);
  });

  it('publishes nothing that is not listed', () => {
    const names = ['operator.sign-in', 'setup.loaded', 'mail.logged', 'child.output'];
    assert.deepEqual(
      names.map((name) => diagnosticsChannel.hasSubscribers(`catamount.${name}`)),
      names.map(() => false),
    );
    for (const name of names) diagnosticsChannel.subscribe(`catamount.${name}`, hear);
    events.emit('mail.logged', { to: [], subject: '', text: 'a secret link', messageId: '' });
    events.emit('setup.loaded', { filterArguments: ['pin'] });
    for (const name of names) diagnosticsChannel.unsubscribe(`catamount.${name}`, hear);
    assert.deepEqual(heard, []);
  });
});
