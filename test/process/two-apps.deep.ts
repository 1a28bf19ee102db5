import assert from 'node:assert/strict';
import pg from 'pg';
import { createClient } from 'redis';
import { TABLES, useSchema } from '../../lib/core/config';
import { BEARER, OPS_TOKEN } from '../ops/ops-web';
import { createDatabase } from '../support/postgres';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { TransactionPooler } from '../support/transaction-pooler';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';

const OURS = Object.values(TABLES).filter((name) => /^(job|mail|ops)_(?!.*(echo|leader)$)/.test(name ?? ''));

/** One of two apps that share a Postgres and a Redis. */
interface App {
  readonly name: string;
  readonly sink: SmtpSink;
  readonly env: Readonly<Record<string, string>>;
  readonly tree: Tree;
}

describe('two apps on one Postgres and one Redis', () => {
  const deployment = useDeployment({ database: createDatabase });
  let pooler: TransactionPooler;
  let shop: App;
  let forum: App;
  before(async () => {
    const { url } = deployment.database;
    pooler = await TransactionPooler.open(url);
    const ownTables = new URL(url);
    ownTables.searchParams.set('options', '-c search_path=shop');
    [shop, forum] = await Promise.all([
      start('shop', { DATABASE_URL: ownTables.href }),
      start('forum', { DATABASE_URL: pooler.url, DATABASE_DIRECT_URL: url }),
    ]);
  });
  after(async () => {
    await Promise.all([shop, forum].map((app) => app?.sink.stop()));
    await pooler.close();
  });

  /** Both apps start and migrate at the same time. */
  async function start(name: string, database: Readonly<Record<string, string>>): Promise<App> {
    const sink = await startSmtpSink();
    const own = {
      NODE_ENV: 'development',
      APP_URL: `https://${name}.example`,
      SMTP_URL: sink.url,
      WEB_CONCURRENCY: '1',
    };
    const env = { ...own, ...database, REDIS_PREFIX: name, DATABASE_SCHEMA: name, OPS_TOKEN };
    return { name, sink, env, tree: await deployment.start({ env }) };
  }

  const signUp = async ({ tree }: App, name: string) => {
    const answer = await tree.request('POST', '/users', { json: { email: `${name}@example.com`, name } });
    assert.equal(answer.status, 201, answer.body);
  };
  const tablesIn = async (schema: string) =>
    (
      await deployment.database.query<{ name: string }>(
        'select tablename as name from pg_tables where schemaname = $1',
        [schema],
      )
    ).map(({ name }) => name);
  const page = async ({ tree }: App, target: string) => {
    const answer = await tree.request('GET', target, { headers: { ...BEARER, Accept: 'text/html' } });
    assert.equal(answer.status, 200, answer.body);
    return answer.body;
  };

  it('each has its tables in its schema, and public has none of them', async () => {
    for (const { name } of [shop, forum]) {
      const there = await tablesIn(name);
      for (const table of [...OURS, 'catamount_migrations', 'knex_migrations'])
        assert.ok(there.includes(table ?? ''), table);
    }
    assert.ok((await tablesIn('shop')).includes('users'));
    assert.deepEqual(await tablesIn('public'), ['users']);
  });

  it('jobs, mails and notifications of one never reach the other', async () => {
    const heard: string[] = [];
    const listener = new pg.Client(deployment.database.url);
    await listener.connect();
    try {
      listener.on('notification', ({ channel }) => heard.push(channel));
      const channels = new Map([['public', TABLES.channel]]);
      for (const { name } of [shop, forum]) {
        useSchema(name);
        channels.set(name, TABLES.channel);
      }
      useSchema('public');
      assert.equal(new Set(channels.values()).size, 3);
      for (const channel of channels.values()) await listener.query(`LISTEN ${channel}`);
      for (let n = 0; n < 10; n++) await Promise.all([signUp(shop, `shopper${n}`), signUp(forum, `writer${n}`)]);
      const [toShop, toForum] = await Promise.all([shop.sink.waitFor(10), forum.sink.waitFor(10)]);
      const receivers = (mails: readonly object[]) => JSON.stringify(mails).match(/(shopper|writer)\d(?=@)/g) ?? [];
      assert.deepEqual(
        [...new Set(receivers(toShop))].sort(),
        Array.from({ length: 10 }, (_, n) => `shopper${n}`),
      );
      assert.deepEqual(
        [...new Set(receivers(toForum))].sort(),
        Array.from({ length: 10 }, (_, n) => `writer${n}`),
      );
      for (const { name } of [shop, forum])
        await until('its notification has arrived', () => heard.includes(channels.get(name) ?? ''));
      assert.ok(!heard.includes('job_queue'));
      for (const { name } of [shop, forum]) {
        const rows = await deployment.database.query<{ count: number }>(
          `select count(*)::int as count from ${name}.mail_deliveries`,
        );
        assert.deepEqual(rows, [{ count: 10 }]);
      }
    } finally {
      await listener.end();
    }
  });

  it('each shows only its own mails at /ops, lists only its own tree, and has no key outside its prefix', async () => {
    const [ofShop, ofForum] = await Promise.all([
      page(shop, '/ops/mail/deliveries'),
      page(forum, '/ops/mail/deliveries'),
    ]);
    assert.ok(ofShop.includes('shopper9@example.com') && !ofShop.includes('writer'), 'the shop shows its mails');
    assert.ok(ofForum.includes('writer9@example.com') && !ofForum.includes('shopper'), 'the forum shows its mails');
    const client = createClient({ url: deployment.redis.url });
    await client.connect();
    try {
      const keys = await client.keys('*');
      assert.ok(keys.some((key) => key.startsWith('{shop}')) && keys.some((key) => key.startsWith('{forum}')));
      assert.deepEqual(
        keys.filter((key) => !/^\{(shop|forum)\}/.test(key)),
        [],
      );
      for (const name of ['shop', 'forum']) assert.equal(await client.zCard(`{${name}}catamount:trees`), 1);
    } finally {
      await client.close();
    }
  });

  it('one rolls back all its migrations, and the other keeps serving', async () => {
    assert.equal((await forum.tree.stop()).code, 0);
    const back = deployment.spawn({ args: ['rollback'], env: forum.env });
    assert.equal((await back.exited).code, 0, back.lines.map(({ text }) => text).join('\n'));
    assert.deepEqual(
      (await tablesIn('forum')).filter((name) => OURS.some((ours) => ours === name)),
      [],
    );
    await signUp(shop, 'latecomer');
    await shop.sink.waitFor(11);
    assert.equal((await shop.tree.stop()).code, 0);
    assert.deepEqual(
      shop.tree.linesMatching(({ json }) => json.level === 'error' || json.level === 'warn'),
      [],
    );
  });
});
