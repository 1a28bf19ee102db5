import assert from 'node:assert/strict';
import { inTest } from '../support/suite';
import { TransactionPooler } from '../support/transaction-pooler';
import { useDeployment } from './deployment';
import { signUpsThrough } from './sign-ups';

const DEAF = /notifications of Postgres do not arrive.*set DATABASE_DIRECT_URL/;

/** Stands in for PgBouncer with `pool_mode = transaction`, which behind-pgbouncer.hand.ts runs. */
describe('behind a pooler in transaction mode', () => {
  const deployment = useDeployment({ each: true });
  const pooler = inTest('close', () => TransactionPooler.open(deployment.database.url, 8));

  const start = (env: Readonly<Record<string, string>>) =>
    deployment.start({ env: { DATABASE_URL: pooler.url, ...env } });

  it('people sign up and get one mail each with DATABASE_DIRECT_URL, and nothing is logged', async () => {
    const tree = await start({ DATABASE_DIRECT_URL: deployment.database.url });
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    await signUpsThrough(deployment, tree, (stream) => stream.more(30));
    assert.deepEqual(tree.linesMatching(DEAF), []);
  });

  it('they do so without it as well, and the log names the setting', async () => {
    const tree = await start({});
    await tree.waitForLine(DEAF);
    await signUpsThrough(deployment, tree, (stream) => stream.more(30));
  });
});
