import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { Model } from 'objection';
import { broadcast } from '../../../lib/broadcast/broadcast';
import { NotConnectedError } from '../../../lib/core/errors';
import { readSettings } from '../../../lib/core/settings';
import { Job } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { defineApp } from '../../../lib/role/app/app-definition';
import { AppConnection } from '../../../lib/role/connect/connection';
import { createDatabase } from '../../support/postgres';
import { startTestRedis } from '../../support/redis';
import { removeFolder, tempFolder } from '../../support/temp-folder';

class GreetJob extends Job {
  perform(): void {}
}

describe('a connection from outside the tree', () => {
  it('is closed only after what was begun without being awaited, and what follows that', async () => {
    const [database, redis, root] = [
      await createDatabase({ migrated: true }),
      await startTestRedis(),
      tempFolder('client'),
    ];
    const knex = Model.knex();
    try {
      const env = { DATABASE_URL: database.url, REDIS_URL: redis.url, LOG_LEVEL: 'fatal' };
      const app = defineApp({ name: 'client', root });
      const options = { as: 'client', doing: 'Cannot connect' };
      const connection = await AppConnection.open(app, readSettings({ env, cwd: root }), options);
      const greeted = transaction((trx) => trx.raw('select pg_sleep(0.1)')).then(async () => {
        // Nothing is under way at the look that is made now.
        const busyUntil = performance.now() + 20;
        while (performance.now() < busyUntil);
        await setTimeout(1);
        return transaction(() => GreetJob.performLater());
      });
      await connection.disconnect();
      assert.equal((await greeted).enqueued, true);
      assert.throws(() => broadcast('chat', 'hello'), NotConnectedError);
      const rows = await database.query<{ class: string }>('select class from job_queue');
      assert.deepEqual(rows, [{ class: 'GreetJob' }]);
    } finally {
      Model.knex(knex);
      await Promise.all([database.drop(), redis.remove()]);
      removeFolder(root);
    }
  });
});
