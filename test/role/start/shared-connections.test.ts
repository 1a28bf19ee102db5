import assert from 'node:assert/strict';
import app from '../../../lib/app';
import { Events } from '../../../lib/core/events';
import { readSettings } from '../../../lib/core/settings';
import { WebRole } from '../../../lib/role/start/web';
import { Deadline } from '../../../lib/support/deadline';
import { deferred } from '../../../lib/support/deferred';
import { singleTree } from '../../ops/single-tree';
import { createDatabase, type TestDatabase } from '../../support/postgres';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';

describe('connections that the web lends to the jobs of its process', () => {
  const folder = tempFolder('shared');
  let database: TestDatabase;
  before(async () => {
    database = await createDatabase({ migrated: true });
  });
  after(async () => {
    await database.drop();
    removeFolder(folder);
  });

  it('are as many as both need, and stay open until the jobs have ended, even if the web has nothing left to do', async () => {
    const env = { WEB_CONCURRENCY: '0', JOB_PROCESSOR: 'inline', DATABASE_URL: database.url, REDIS: 'off' };
    const config = readSettings({ cwd: folder, env: { ...env, NODE_ENV: 'test', MAIL_DELIVERY: 'test' } });
    const events = new Events();
    const web = new WebRole(app, config, events, singleTree(config, events));
    await web.expectConnections();
    const jobs = deferred();
    const { database: lent } = await web.lend(jobs.promise);
    assert.equal(lent.poolUse().max, config.databasePool.web + config.databasePool.jobs);
    const drained = web.drain(Deadline.after(WAIT_LIMIT_MS));
    // A job that goes on while the web has ended: a pool that is closed would take no statement.
    for (let n = 0; n < 100; n++) await lent.ping(WAIT_LIMIT_MS);
    jobs.resolve();
    assert.equal(await drained, 0);
    await assert.rejects(lent.ping());
  });
});
