import assert from 'node:assert/strict';
import { Events } from '../../../lib/core/events';
import { AuditLog } from '../../../lib/ops/audit/audit-log';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { useShopPages } from '../jobs/shop-pages';

interface AuditJson {
  readonly audit: readonly { readonly id: string; readonly who: string; readonly name: string }[];
  readonly older: string | null;
}

describe('the audit of what operators did', () => {
  const shop = useShopPages();
  const operator = inSuite(undefined, () => shop.operator);
  beforeEach(async () => {
    await shop.reset();
    await shop.ops.database.query('truncate ops_audit');
  });
  const whoDidWhat = async (query = '') => {
    const { audit } = await operator.json<AuditJson>(`/ops/audit${query}`);
    return audit.map(({ who, name }) => `${who} ${name}`);
  };

  it('has actions of the pages and of the terminal, the newest first, and finds those of one person', async () => {
    await operator.act('/ops/jobs/queues/default/pause');
    await until('the first is recorded', async () => (await whoDidWhat()).length === 1);
    const events = new Events();
    const audit = new AuditLog(shop.database.knex, events).follow();
    events.emit('operator.jobs', { action: 'retry', set: 'dead', count: 3, via: 'cli:grace' });
    await audit.recorded();
    assert.deepEqual(await whoDidWhat(), ['cli:grace operator.jobs', 'pages:127.0.0.1 operator.queue']);
    assert.deepEqual(await whoDidWhat('?who=GRACE'), ['cli:grace operator.jobs']);
    assert.match(await operator.read('/ops/audit'), /Retried 3 dead jobs \(requested by grace at the terminal\)/);
    assert.match(await operator.read('/ops/audit?who=nobody'), /Nobody whose name contains this/);
  });

  it('has who signed in, but no wrong passwords', async () => {
    await shop.ops.signIn('wrong');
    await shop.ops.signIn('correct: horse');
    await until('the sign-in is recorded', async () => (await whoDidWhat()).length > 0);
    assert.deepEqual(await whoDidWhat(), ['pages:127.0.0.1 operator.sign-in']);
    assert.match(await operator.read('/ops/audit'), /Signed in: operator 127\.0\.0\.1/);
  });

  it('is read page by page', async () => {
    await shop.ops.database.query(
      `insert into ops_audit (who, name, about)
       select 'cli:ada', 'operator.adopted', '{"via": "cli:ada"}' from generate_series(1, 51)`,
    );
    const { audit, older } = await operator.json<AuditJson>('/ops/audit');
    assert.equal(audit.length, 50);
    const rest = await operator.json<AuditJson>(`/ops/audit?before=${older}`);
    assert.deepEqual([rest.audit.length, rest.older], [1, null]);
    assert.equal((await operator.get('/ops/audit?before=x')).status, 400);
  });

  it('keeps 90 days', async () => {
    await shop.ops.database.query(
      `insert into ops_audit (at, who, name, about)
       select now() - days * interval '1 day', 'cli:ada', 'operator.adopted', '{"via": "cli:ada"}' from unnest(array[91, 89]) days`,
    );
    await operator.act('/ops/jobs/queues/default/pause');
    await until('the action is recorded', async () => (await whoDidWhat()).includes('pages:127.0.0.1 operator.queue'));
    assert.deepEqual(await whoDidWhat(), ['pages:127.0.0.1 operator.queue', 'cli:ada operator.adopted']);
  });

  it('says so when it cannot be kept, and what was done stays done', async () => {
    await shop.ops.database.query('alter table ops_audit rename to ops_audit_away');
    try {
      await operator.act('/ops/jobs/queues/default/pause');
      assert.match(await operator.read('/ops/jobs/queues/default'), /Paused/i);
    } finally {
      await shop.ops.database.query('alter table ops_audit_away rename to ops_audit');
    }
  });
});
