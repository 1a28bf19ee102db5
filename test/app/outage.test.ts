import assert from 'node:assert/strict';
import { until } from '../support/until';
import { RunningApp } from './running-app';

describe('when Postgres is away', () => {
  let app: RunningApp;
  before(async () => {
    app = await RunningApp.start();
  });
  after(() => app.stop());

  it('503 worth another try, told to the log, and 201 as soon as it is back', async () => {
    assert.equal((await app.signUp({ email: 'a@example.com' })).status, 201);
    await app.postgres.sever();
    const { status, headers, text } = await app.signUp({ email: 'b@example.com' });
    assert.deepEqual([status, headers['retry-after']], [503, '2'], text);
    assert.doesNotMatch(text, /test_|database|127/);
    assert.equal(app.serving.errors.length, 1);
    await app.postgres.open();
    await until('a sign-up works again', async () => (await app.signUp({ email: 'b@example.com' })).status === 201);
  });
});
