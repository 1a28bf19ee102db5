import assert from 'node:assert/strict';
import { catamount } from '../cli/cli-process';
import { tell } from '../support/replicated-redis';
import { until } from '../support/until';
import { CONNECTIONS_TO_REDIS, useDeployment } from './deployment';
import { signUpMany } from './sign-ups';

/** The pools of two workers and of the processor, and the connection that LISTENs. */
const OF_POSTGRES = 2 * 5 + 3 + 1;

describe('the connections of a tree with two workers', () => {
  const deployment = useDeployment();

  /** The last command of each connection, sorted. */
  const ofRedis = async () =>
    String(await tell(deployment.redis, ['CLIENT', 'LIST']))
      .split('\n')
      .flatMap((line) => / cmd=(\S+)/.exec(line)?.[1] ?? [])
      .filter((command) => command !== 'client|list')
      .sort();
  const ofPostgres = async () => {
    const [row] = await deployment.database.query<{ count: number }>(
      `select count(*)::int from pg_stat_activity
       where datname = current_database() and application_name = 'catamount' and pid <> pg_backend_pid()`,
    );
    return row?.count ?? assert.fail('there is no count');
  };

  it('are four to Redis even when it is busy, and no more to Postgres than its status announces', async function () {
    const tree = await deployment.start({ env: { WEB_CONCURRENCY: '2' } });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    await until('all are open', async () => (await ofRedis()).length === CONNECTIONS_TO_REDIS);
    const told = JSON.parse((await catamount(tree.cwd, ['status', '--json'])).stdout) as {
      readonly tree: { readonly limits: { readonly database_connections: number } };
    };
    assert.equal(told.tree.limits.database_connections, OF_POSTGRES);

    let most = 0;
    let busy = true;
    const watch = (async () => {
      while (busy) most = Math.max(most, await ofPostgres());
    })();
    for (let round = 0; round < 3; round++) await signUpMany(tree, 40, 30);
    await deployment.sink.waitFor(120);
    busy = false;
    await watch;
    assert.ok(most > 1 && most <= OF_POSTGRES, `${most} connections to Postgres`);
    const jobs = await ofRedis();
    assert.equal(jobs.length, CONNECTIONS_TO_REDIS, jobs.join());
    await until('one waits', async () => (await ofRedis()).filter((command) => command === 'brpop').length === 1);

    this.runnable().title += `: ${most} while it was busy`;
  });
});
