import assert from 'node:assert/strict';
import { logEvents } from '../../lib/core/event-catalog';
import { Events } from '../../lib/core/events';
import { withAttributes } from '../../lib/core/execution-context';
import { LogFilter } from '../../lib/core/log-filter';
import { createLogger } from '../../lib/core/logging';
import { Database } from '../../lib/model/database';
import { Deadline } from '../../lib/support/deadline';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { WAIT_LIMIT_MS } from '../support/wait-limit';

/** What users have entered reaches the log in none of these ways. */
describe('the log hides', () => {
  function listen() {
    const texts: string[] = [];
    const events = new Events();
    const filter = new LogFilter(events);
    const destination = { write: (text: string) => void texts.push(text) };
    logEvents(events, createLogger({ log: { level: 'info', format: 'json' } }, 'web.0', destination, filter));
    const line = () => JSON.parse(texts.at(-1) ?? '{}') as Record<string, unknown> & { err: Record<string, unknown> };
    return { events, texts, line };
  }
  const report = (events: Events, error: Error) =>
    events.emit('request.error', { error, method: 'POST', path: '/users', requestId: 'r-1' });

  it("attributes with sensitive names, and those that the app's job setup names", () => {
    const { events, texts, line } = listen();
    const attributes = { tenant: 'shop', accessToken: 'abc', customer: { email: 'ada@example.com', password: 'x' } };
    const warn = () => withAttributes(attributes, () => events.emit('process.warning', { message: 'careful' }));
    warn();
    assert.deepEqual(line().attributes, {
      tenant: 'shop',
      accessToken: '[FILTERED]',
      customer: { email: 'ada@example.com', password: '[FILTERED]' },
    });
    events.emit('setup.loaded', { filterArguments: ['email', /^ten/] });
    warn();
    assert.deepEqual(line().attributes, {
      tenant: '[FILTERED]',
      accessToken: '[FILTERED]',
      customer: { email: '[FILTERED]', password: '[FILTERED]' },
    });
    assert.equal(texts.length, 2);
  });

  it('passwords in URLs, in the message, the stack, the causes and the fields of an error', () => {
    const { events, texts, line } = listen();
    const cause = new Error('redis://:p4ss/w@rd@cache:6379 refused');
    const url = 'postgres://shop:p4ssw%40rd@db.example:5432/shop?sslmode=require';
    report(events, Object.assign(new Error(`no answer from "${url}"`, { cause }), { input: url }));
    const { msg, err } = line();
    assert.doesNotMatch(texts.join(), /p4ss|w@rd/);
    assert.match(String(msg), /"postgres:\/\/shop:\[FILTERED\]@db\.example:5432\/shop\?sslmode=require"/);
    assert.match(String(err.stack), /redis:\/\/:\[FILTERED\]@cache:6379 refused/);
    const harmless = 'http://shop.example:3000/@ada?to=a@b http://[::1]:80/ file:///srv/a.js:1:2 ada@b smtp://mail:587';
    report(events, new Error(harmless));
    assert.ok(String(line().msg).endsWith(harmless));
  });

  it("the values under such names in an error's own fields, at any depth, even in cyclic objects", () => {
    const { events, line } = listen();
    const config: Record<string, unknown> = { url: '/pay', headers: { authorization: 'Bearer abc', accept: 'text' } };
    config.self = config;
    const error = Object.assign(new Error('402'), {
      config,
      code: 'E_PAY',
      cardNumber: 4111,
      socket: new Map([['a', 1]]),
      size: 3n,
      retry: () => 1,
      source: new AggregateError([Object.assign(new Error('inner'), { apiKey: 'abc' })]),
    });
    report(events, error);
    const { err } = line();
    assert.doesNotMatch(JSON.stringify(err), /abc|4111/);
    assert.equal(err.code, 'E_PAY');
    assert.match(JSON.stringify(err.config), /"url":"\/pay".*"accept":"text"/);
    assert.match(JSON.stringify(err.source), /inner/);
  });

  describe('in an error of Postgres', () => {
    let database: TestDatabase;
    let connection: Database;
    before(async () => {
      database = await createDatabase();
      connection = new Database(database.url, { production: false, events: new Events() });
      await database.query('create table people (id int primary key, email text not null unique, note json)');
      await database.query(`insert into people values (1, 'ada@example.com', '{}')`);
      await database.query(`create function shout(text) returns void language plpgsql as
        $$ begin execute 'select ''' || $1 || '''::int'; end $$`);
    });
    after(async () => {
      await connection?.stop(Deadline.after(WAIT_LIMIT_MS));
      await database?.drop();
    });

    const failures: Readonly<Record<string, readonly [work: () => Promise<unknown>, kept: RegExp]>> = {
      'a duplicate value, and the parameters of the statement': [
        async () => connection.knex('people').insert({ id: 2, email: 'ada@example.com' }),
        /people_email_key.*Key \(email\)=\(\[FILTERED\]\)/,
      ],
      'a row that a constraint rejects': [
        async () => connection.knex('people').insert({ id: 3, email: null, note: '{"to":"ada@example.com"}' }),
        /"column":"email"/,
      ],
      'a text that is not JSON': [
        async () => connection.knex('people').insert({ id: 4, email: 'x', note: '{"to": ada@example.com}' }),
        /"code":"22P02"/,
      ],
      'a query inside a function': [
        async () => connection.knex.raw('select shout(?)', ['{a}, ada@example.com']),
        /PL\/pgSQL function shout/,
      ],
    };
    for (const [name, [work, kept]] of Object.entries(failures)) {
      it(`${name}, and keeps what helps to find the cause`, async () => {
        const { events, texts, line } = listen();
        const error = await work().then(
          () => assert.fail('the statement did not fail'),
          (thrown: Error) => thrown,
        );
        report(events, error);
        const { detail, where, internalQuery, ...rest } = line().err;
        const told = JSON.stringify({ ...rest, detail, where, internalQuery });
        assert.match(told, kept);
        // Postgres quotes a malformed value in its own message.
        if (!/invalid input syntax for type integer/.test(error.message)) assert.doesNotMatch(texts.join(''), /ada@/);
        assert.doesNotMatch(JSON.stringify([detail, where, internalQuery]), /ada@/);
      });
    }
  });
});
