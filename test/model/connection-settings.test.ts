import assert from 'node:assert/strict';
import { connectionSettings } from '../../lib/model/database';

describe('connectionSettings', () => {
  const off = false;
  const unchecked = { rejectUnauthorized: false };
  const checked = { rejectUnauthorized: true };
  const table = [
    // URL's host and mode, in production, what TLS it means
    ['db.example.com', '', true, unchecked],
    ['db.example.com', '', false, off],
    ['localhost', '', true, off],
    ['127.0.0.1', '', true, off],
    ['[::1]', '', true, off],
    ['db.example.com', 'disable', true, off],
    ['db.example.com', 'allow', true, off],
    ['db.example.com', 'prefer', true, off],
    ['db.example.com', 'require', false, unchecked],
    ['db.example.com', 'no-verify', true, unchecked],
    ['db.example.com', 'verify-ca', true, checked],
    ['db.example.com', 'verify-full', true, checked],
    ['localhost', 'verify-full', false, checked],
    ['localhost', 'require', true, unchecked],
  ] as const;

  for (const [host, mode, production, ssl] of table) {
    it(`${host}, sslmode=${mode || '(none)'}, ${production ? 'production' : 'elsewhere'}`, () => {
      const query = mode === '' ? '' : `?sslmode=${mode}`;
      const settings = connectionSettings(`postgres://u:p%40ss@${host}:5433/shop${query}`, production);
      assert.deepEqual(settings.ssl, ssl);
      assert.equal(settings.connectionString, `postgres://u:p%40ss@${host}:5433/shop`);
    });
  }

  it('keeps the other parameters', () => {
    const { connectionString } = connectionSettings('postgres://h/shop?sslmode=require&options=-c%20x%3D1', true);
    assert.equal(connectionString, 'postgres://h/shop?options=-c+x%3D1');
  });
});
