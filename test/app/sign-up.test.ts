import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { guideBlock } from '../guide-blocks';
import { inSuite } from '../support/suite';
import { RunningApp } from './running-app';

interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

describe('POST /users', () => {
  const app = inSuite('stop', () => RunningApp.start());
  beforeEach(() => app.clear());

  const email = 'new.user@example.com';

  it('answers 201 with the token, shown this once, and stores its digest only', async () => {
    const { status, headers, json } = await app.signUp({ email, name: ' New User ' });
    assert.equal(status, 201);
    assert.equal(headers.location, '/users/me');
    assert.equal(headers['cache-control'], 'no-store');
    const { accessToken, ...user } = json;
    assert.deepEqual(user, { id: '1', email, name: 'New User', locale: 'en' });
    const [, secret = ''] = /^1:([A-Za-z0-9_-]{43})$/.exec(String(accessToken)) ?? [];
    const [row] = await app.users();
    assert.deepEqual(row?.token_digest, createHash('sha256').update(secret).digest());
    assert.doesNotMatch(JSON.stringify(await app.database.query('select * from users')), new RegExp(secret));
  });

  it('accepts the example of the README', async () => {
    const [, body = ''] = /-d '(.+)'/.exec(guideBlock('README.md', 'curl -X POST localhost:3000/users')) ?? [];
    assert.equal((await app.signUp(JSON.parse(body) as { email: string })).status, 201);
  });

  it('enqueues the welcome job in the same transaction', async () => {
    await app.signUp({ email });
    const [job, ...others] = await app.jobs();
    assert.deepEqual([job?.class, job?.queue, others], ['WelcomeEmailJob', 'mailer', []]);
    assert.match(JSON.stringify(job?.payload), /\[\\?"1\\?"\]/);
  });

  it('keeps neither user nor job when the job cannot be stored', async () => {
    await app.database.query('alter table job_queue rename to away');
    const { status } = await app.signUp({ email });
    await app.database.query('alter table away rename to job_queue');
    assert.equal(status, 500);
    assert.deepEqual(await app.users(), []);
    assert.equal((await app.signUp({ email })).status, 201);
  });

  describe('locale', () => {
    for (const [given, accepted, expected] of [
      [{ locale: 'ko' }, 'en', 'ko'],
      [{}, 'ko-KR,ko;q=0.9', 'ko'],
      [{ locale: null }, 'ko', 'ko'],
      [{}, 'fr', 'en'],
    ] as const)
      it(`${JSON.stringify(given)} from a client that prefers ${accepted}: ${expected}`, async () => {
        const { json } = await app.signUp({ email, ...given }, { 'accept-language': accepted });
        assert.equal(json.locale, expected);
      });
  });

  describe('an address that is taken', () => {
    for (const again of [email, 'New.User@EXAMPLE.com', `  ${email} `]) {
      it(`422 for ${JSON.stringify(again)}`, async () => {
        await app.signUp({ email });
        const { status, json } = await app.signUp({ email: again });
        assert.equal(status, 422);
        assert.deepEqual(json.errors, [{ pointer: '/email', detail: 'is already taken' }]);
        assert.equal((await app.users()).length, 1);
        assert.equal((await app.jobs()).length, 1);
        assert.equal(app.serving.errors.length, 0);
      });
    }

    it('only one of twenty concurrent sign-ups gets it', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => app.signUp({ email })));
      const statuses = answers.map(({ status }) => status).sort();
      assert.deepEqual(statuses, [201, ...Array<number>(19).fill(422)]);
      assert.equal((await app.jobs()).length, 1);
      assert.equal(app.serving.errors.length, 0);
    });
  });

  describe('input', () => {
    it('422 for a wrong locale; addresses and names are in attacks.test', async () => {
      for (const locale of ['fr', 'EN', 'en-US', '', 1, ['en'], '__proto__']) {
        const { status, json } = await app.signUp({ email, locale });
        assert.equal(status, 422);
        const [error, ...others] = json.errors as FieldError[];
        assert.deepEqual([error?.pointer, others], ['/locale', []]);
        assert.match(error?.detail ?? '', /^must be /);
      }
      assert.deepEqual(await app.users(), []);
    });

    it('names every wrong field at once', async () => {
      const { json } = await app.signUp({ name: '', locale: 'fr' });
      assert.deepEqual((json.errors as FieldError[]).map(({ pointer }) => pointer).sort(), [
        '/email',
        '/locale',
        '/name',
      ]);
    });
  });

  it('415 for another content type, with what to send, and 400 for no body', async () => {
    const form = await app.serving.post('/users', 'email=a@b.co', {
      'content-type': 'application/x-www-form-urlencoded',
    });
    assert.deepEqual([form.status, form.headers['accept-post']], [415, 'application/json']);
    assert.equal((await app.serving.post('/users', '{}', { 'content-type': 'text/plain' })).status, 415);
    assert.equal((await app.serving.request('/users', { method: 'POST' })).status, 415);
    const typed = 'POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n';
    assert.match(await app.serving.raw(typed), /^HTTP\/1\.1 400 /);
    assert.equal((await app.serving.post('/users', '')).status, 400);
    assert.equal((await app.serving.request('/users')).status, 405);
  });
});
