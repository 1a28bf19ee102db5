import assert from 'node:assert/strict';
import path from 'node:path';
import { until } from '../../support/until';
import { catamount, catamountWith } from './operator';
import { useSupervisorApp } from './supervisor-app';

describe('a tree on a database that is a copy of another one', () => {
  const app = useSupervisorApp();
  before(async () => {
    await app.database.query(`update job_installation set origin = 'elsewhere/1'`);
  });

  it('serves, and /ready and status name the remedy until the database is adopted', async () => {
    const tree = await app.start({ WEB_CONCURRENCY: '1' });
    await tree.waitForLine(/is a copy of another one.*jobs adopt/);
    const ready = async () => JSON.parse((await tree.request('GET', '/ready')).body) as Record<string, unknown>;
    const told = await until('/ready reports it', async () => {
      const answer = await ready();
      return String(answer.broken) === 'installation' && answer;
    });
    assert.equal(told.status, 'degraded');
    assert.match(String(told.advice), /catamount jobs adopt/);
    const status = await catamountWith(app.env, tree.cwd, 'status');
    assert.match(`${status.stdout}${status.stderr}`, /copied from another installation.*catamount jobs adopt/);
    const adopted = await catamountWith(app.env, path.dirname(app.entryFile), 'jobs', 'adopt', '--yes');
    assert.equal(adopted.code, 0, adopted.stderr);
    await until('all is well', async () => (await ready()).status === 'ok');
    assert.doesNotMatch((await catamount(tree.cwd, 'status')).stdout, /copied/);
    assert.equal((await tree.stop()).code, 0);
  });
});
