import assert from 'node:assert/strict';
import { RunningApp } from './running-app';

describe('GET /users/me', () => {
  let app: RunningApp;
  let token = '';
  before(async () => {
    app = await RunningApp.start();
    await app.signUp({ email: 'other@example.com' });
    const { json } = await app.signUp({ email: 'me@example.com', name: 'Me', locale: 'ko' });
    token = String(json.accessToken);
  });
  after(() => app.stop());

  const ask = (authorization?: string) =>
    app.serving.request('/users/me', { headers: authorization === undefined ? {} : { authorization } });

  it('returns the user, without the token', async () => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER']) {
      const { status, json, headers } = await ask(`${scheme} ${token}`);
      assert.equal(status, 200);
      assert.deepEqual(json, { id: '2', email: 'me@example.com', name: 'Me', locale: 'ko' });
      assert.equal(headers['cache-control'], 'no-store');
    }
  });

  it('401 with a challenge without a token', async () => {
    const { status, headers, json } = await ask();
    assert.equal(status, 401);
    assert.equal(headers['www-authenticate'], 'Bearer realm="catamount"');
    assert.equal(headers['content-type'], 'application/problem+json; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(json.title, 'Unauthorized');
  });

  it('401 for every wrong token', async () => {
    const [, secret = ''] = token.split(':');
    const tokens = [
      `${token}x`,
      token.slice(0, -1),
      `2:${secret.toLowerCase()}`,
      ...['1', '3', '0', '02', '-2', '2e0', 'NaN', "2'--", ''].map((id) => `${id}:${secret}`),
      ...['9223372036854775807', '9223372036854775808', '99999999999999999999999'].map((id) => `${id}:${secret}`),
      `2:${secret} ${secret}`,
      '2:',
      'é:é',
    ];
    const wrong = [`Basic ${token}`, 'Bearer', 'Bearer ', ...tokens.map((text) => `Bearer ${text}`)];
    for (const authorization of wrong) {
      const { status, headers } = await ask(authorization);
      assert.equal(status, 401, authorization);
      assert.equal(headers['www-authenticate'], 'Bearer realm="catamount", error="invalid_token"', authorization);
    }
    assert.deepEqual(app.serving.errors, []);
  });

  it('401 once the user is deleted', async () => {
    const { json } = await app.signUp({ email: 'gone@example.com' });
    await app.database.query('delete from users where id = $1', [json.id]);
    assert.equal((await ask(`Bearer ${json.accessToken}`)).status, 401);
  });
});
