import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { readSettings } from '../../../lib/core/settings';
import { Database } from '../../../lib/model/database';
import { findings, thrownFinding } from '../../../lib/role/checks/all-checks';
import { Deadline } from '../../../lib/support/deadline';

describe('the list of checks', () => {
  it('goes on after a check that could not be made, and reports once what several find', async () => {
    const database = new Database('postgres://127.0.0.1:1/none', { production: false, events: new Events() });
    const config = readSettings({ env: { DATABASE_POOL: '900' }, cwd: '/nowhere' });
    const context = { config, migrations: { ours: [], apps: null }, database };
    const errors: Error[] = [];
    try {
      const found = await findings('postgres', 'doctor', context, (error) => {
        errors.push(error);
        return [thrownFinding('unreadable', error)];
      });
      assert.ok(errors.length > 1, String(errors));
      assert.deepEqual(
        found.map(({ id, severity, text }) => [id, severity, text]),
        [['unreadable', 'error', errors[0]?.message]],
      );
      await assert.rejects(findings('postgres', 'doctor', context), /ECONNREFUSED/);
    } finally {
      await database.stop(Deadline.after(5000));
    }
  });

  it('makes only the checks of the moment', async () => {
    const tls = { cert: '/nowhere/cert.pem', key: '/nowhere/key.pem' };
    const config = { ...readSettings({ env: {}, cwd: '/nowhere' }), redisOff: true, warnings: ['one'], tls };
    const at = async (when: Parameters<typeof findings>[1]) =>
      (await findings('settings', when, { config })).map(({ id, severity }) => `${severity} ${id}`);
    assert.deepEqual(await at('start'), ['warning doubtful_setting']);
    assert.deepEqual(await at('check'), ['note redis_off', 'error tls_files']);
    assert.deepEqual(await at('doctor'), ['warning doubtful_setting', 'note redis_off', 'error tls_files']);
  });
});
