import assert from 'node:assert/strict';
import { readSettings } from '../../../lib/core/settings';
import { banner, pagesAt } from '../../../lib/role/start/banner';

describe('the banner', () => {
  it('says what runs, and where the data are', () => {
    const dataOf = (env: Readonly<Record<string, string>>) =>
      banner('shop', readSettings({ cwd: '/nowhere', env })).find((line) => line.includes('Data:'));
    assert.equal(dataOf({}), '* Data:    Postgres embedded, Redis embedded');
    assert.equal(dataOf({ REDIS: 'off' }), '* Data:    Postgres embedded, Redis off');
    assert.equal(
      dataOf({ REDIS_URL: 'redis://localhost:6379' }),
      '* Data:    Postgres embedded, Redis at localhost:6379',
    );
    const env = { JOB_QUEUES: 'default:3,mailer:1', MAIL_DELIVERY: 'log' };
    const lines = banner('shop', readSettings({ cwd: '/nowhere', env, only: 'jobs' })).join();
    assert.match(lines, /jobs only.*1 processor × 2, queues default:3, mailer:1 \(weighted\),.*into the log only/);
  });
});

describe('the URLs of the banner', () => {
  const at = (address: string, env: Readonly<Record<string, string>> = {}) =>
    pagesAt(
      address,
      readSettings({ cwd: '/nowhere', env: { OPS_USER: 'ada', OPS_PASSWORD: 'correct horse', ...env } }),
    );

  it('use localhost and the actual port, and include the pages and the inbox', () => {
    for (const address of ['http://0.0.0.0:41234', 'http://[::]:41234'])
      assert.deepEqual(at(address), [
        'http://localhost:41234/',
        'http://localhost:41234/ops',
        'http://localhost:41234/ops/mail/inbox',
      ]);
    assert.deepEqual(at('http://127.0.0.1:3000', { MAIL_DELIVERY: 'log' }), [
      'http://127.0.0.1:3000/',
      'http://127.0.0.1:3000/ops',
    ]);
    assert.deepEqual(at('unix:/run/app.sock'), []);
  });
});
