import assert from 'node:assert/strict';
import path from 'node:path';
import { useDeployment } from '../process/deployment';
import { TransactionPooler } from '../support/transaction-pooler';
import { until } from '../support/until';
import { runNode } from './cli-process';

const ENTRY = path.resolve(__dirname, '../../dist/server.js');

describe('catamount doctor', () => {
  const deployment = useDeployment();

  /** The findings by id, each on one line. */
  const findings = async (env: Readonly<Record<string, string>> = {}) => {
    const { stdout, stderr } = await runNode(deployment.folder, [ENTRY, 'doctor', '--json'], {
      ...deployment.env,
      ...env,
    });
    assert.match(stdout, /^\{/, stderr);
    const { findings: found } = JSON.parse(stdout) as { findings: Record<string, string>[] };
    return new Map(found.map((one) => [one.id, `${one.severity} ${one.finding}: ${one.what_to_do}`]));
  };

  it('names a proxy that TRUST_PROXY does not trust, once a request has come through it', async () => {
    const tree = await deployment.start({ env: { WEB_CONCURRENCY: '1', JOB_PROCESSOR: '0' } });
    const id = 'proxy_not_trusted';
    assert.equal((await findings()).get(id), undefined);
    await tree.request('GET', '/health', { headers: { 'X-Forwarded-Proto': 'https' } });
    const found = await until('the tree has reported it', async () => (await findings()).get(id));
    assert.match(
      found,
      /^warning Headers of a proxy came from 127\.0\.0\.1, and TRUST_PROXY is 0: set it to the number/,
    );
    const named = (await findings({ TRUST_PROXY: '192.0.2.1' })).get(id);
    assert.match(
      named ?? '',
      /came from 127\.0\.0\.1, and TRUST_PROXY does not name it: set it to .*, or to their addr/,
    );
    await tree.stop();
  });

  it('detects a pooler in transaction mode, and a DATABASE_DIRECT_URL that leads to one, or to no server', async () => {
    const pooler = await TransactionPooler.open(deployment.database.url);
    try {
      const behind = await findings({ DATABASE_URL: pooler.url });
      assert.equal(
        behind.get('pooler'),
        'warning Notifications of Postgres do not arrive through DATABASE_URL, as behind a pooler in transaction mode, so ' +
          'jobs start later: set DATABASE_DIRECT_URL to the URL of Postgres itself.',
      );
      const beside = await findings({ DATABASE_URL: pooler.url, DATABASE_DIRECT_URL: pooler.url });
      assert.match(
        beside.get('pooler') ?? '',
        /through DATABASE_DIRECT_URL, so jobs start later: that leads to a pooler/,
      );
      const past = await findings({ DATABASE_URL: pooler.url, DATABASE_DIRECT_URL: deployment.database.url });
      assert.deepEqual([past.get('pooler'), past.get('direct_url_unreachable')], [undefined, undefined]);
      const nowhere = await findings({ DATABASE_DIRECT_URL: 'postgres://127.0.0.1:1/none?sslmode=disable' });
      assert.match(
        nowhere.get('direct_url_unreachable') ?? '',
        /^error Postgres at 127\.0\.0\.1:1, of DATABASE_DIRECT_URL, does not let us in \(.*ECONNREFUSED.*\): correct it; LISTEN/,
      );
    } finally {
      await pooler.close();
    }
  });
});
