import assert from 'node:assert/strict';
import pg from 'pg';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { RunningApp } from './running-app';

describe('when Postgres is unavailable', () => {
  const app = inSuite('stop', () => RunningApp.start());

  it('answers 503 with Retry-After and logs the error, and 201 as soon as it is back', async () => {
    assert.equal((await app.signUp({ email: 'a@example.com' })).status, 201);
    await app.postgres.down();
    const { status, headers, text } = await app.signUp({ email: 'b@example.com' });
    assert.deepEqual([status, headers['retry-after']], [503, '2'], text);
    assert.doesNotMatch(text, /test_|database|127\.0/);
    assert.equal(app.serving.errors.length, 1);
    await app.postgres.up();
    await until('a sign-up works again', async () => (await app.signUp({ email: 'b@example.com' })).status === 201);
  });

  it('answers 503 if the connection is lost during a statement, inside and outside a transaction', async () => {
    const { accessToken } = (await app.signUp({ email: 'c@example.com' })).json as { accessToken: string };
    const blocked = () =>
      app.database.query(
        'select pid from pg_stat_activity where datname = current_database() and wait_event_type = $1',
        ['Lock'],
      );
    const reading = () => app.serving.request('/users/me', { headers: { authorization: `Bearer ${accessToken}` } });
    for (const ask of [reading, () => app.signUp({ email: 'd@example.com' })]) {
      for (const end of ['pg_terminate_backend', 'an outage'] as const) {
        const locker = new pg.Client(app.database.url);
        // When the test fails, its database is dropped, which ends this connection, too.
        locker.on('error', () => undefined);
        await locker.connect();
        await locker.query('begin; lock table users in access exclusive mode');
        const answer = ask();
        await until('its statement waits', async () => (await blocked()).length === 1);
        if (end === 'an outage') await app.postgres.down();
        else await app.database.query(`select pg_terminate_backend(${(await blocked())[0]?.pid})`);
        assert.deepEqual([(await answer).status, (await answer).headers['retry-after']], [503, '2'], `${end} ${ask}`);
        await locker.end();
        if (end === 'an outage') await app.postgres.up();
      }
    }
  });

  const refuse = (code: string, message: string) =>
    app.database.query(`
      create or replace function refuse() returns trigger language plpgsql as
        $$ begin raise exception using errcode = '${code}', message = '${message}'; end $$;
      create or replace trigger refuse before insert on users execute function refuse()`);

  it('answers 500 to an error of another kind, whatever words its message and the values hold', async () => {
    await refuse('P0001', 'the certificate has expired');
    const { status } = await app.signUp({ email: 'f@example.com', name: 'Ada - Connection terminated' });
    await app.database.query('drop trigger refuse on users');
    assert.equal(status, 500);
  });

  it('answers 503 if it accepts no writes, because its disk is full, it has become a standby or is starting', async () => {
    for (const [code, message] of [
      ['53100', 'could not extend file "base/1/2": No space left on device'],
      ['25006', 'cannot execute INSERT in a read-only transaction'],
      ['57P03', 'the database system is starting up'],
    ] as const) {
      await refuse(code, message);
      const { status, text } = await app.signUp({ email: 'e@example.com' });
      assert.deepEqual([status, /insert|device/i.test(text)], [503, false], `${code} ${text}`);
    }
    await app.database.query('drop trigger refuse on users');
    assert.equal((await app.signUp({ email: 'e@example.com' })).status, 201);
  });
});
