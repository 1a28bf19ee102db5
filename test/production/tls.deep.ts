import assert from 'node:assert/strict';
import { createClient } from 'redis';
import { spawnTree, startTree, type Tree, type TreeOptions } from '../support/tree';
import { until } from '../support/until';
import { SecureServers } from './secure-servers';

/** Not loopback by its name, yet this machine: reaches what listens on 127.0.0.1. */
const ELSEWHERE = '0.0.0.0';
const NOWHERE = 'redis://127.0.0.1:1';

interface Case {
  readonly title: string;
  readonly host: string;
  readonly sslmode: string | undefined;
  readonly redis: (servers: SecureServers) => Record<string, string>;
}

const CASES: readonly Case[] = [
  {
    title: 'Postgres elsewhere without sslmode, Redis in REDIS_TLS_URL before REDIS_URL',
    host: ELSEWHERE,
    sslmode: undefined,
    redis: ({ redisUrl }) => ({ REDIS_TLS_URL: redisUrl, REDIS_URL: NOWHERE }),
  },
  {
    title: 'Postgres with sslmode=require, Redis in REDIS_URL',
    host: '127.0.0.1',
    sslmode: 'require',
    redis: ({ redisUrl }) => ({ REDIS_URL: redisUrl }),
  },
  {
    title: 'Postgres with sslmode=verify-full and a known authority, Redis checked too',
    host: 'localhost',
    sslmode: 'verify-full',
    redis: ({ redisUrl, certificate }) => ({
      REDIS_URL: `${redisUrl.replace('127.0.0.1', 'localhost')}?sslmode=verify-full`,
      NODE_EXTRA_CA_CERTS: certificate.authorityFile,
    }),
  },
  {
    title: 'REDIS_PROVIDER=REDISTOGO_URL with a redis:// URL',
    host: '127.0.0.1',
    sslmode: 'require',
    redis: ({ redis }) => ({ REDIS_PROVIDER: 'REDISTOGO_URL', REDISTOGO_URL: redis.url, REDIS_URL: NOWHERE }),
  },
];

describe('production behind TLS', () => {
  let servers: SecureServers;
  let tree: Tree | undefined;
  before(async () => {
    servers = await SecureServers.start();
  });
  afterEach(async () => {
    await tree?.cleanup();
    tree = undefined;
    servers.mail.messages.length = 0;
  });
  after(() => servers.stop());

  const migrate = async (env: NonNullable<TreeOptions['env']>) => {
    const migration = spawnTree({ env, args: ['migrate'] });
    const { code } = await migration.end();
    await migration.cleanup();
    assert.equal(code, 0, migration.lines.map((line) => line.text).join('\n'));
  };

  for (const { title, host, sslmode, redis } of CASES) {
    it(`${title}: every client gets through and the mail arrives`, async () => {
      const DATABASE_URL = await servers.postgres.createDatabase(host, sslmode);
      const env = { ...servers.env, ...redis(servers), DATABASE_URL };
      await migrate(env);
      tree = await startTree({ env });
      const { status } = await tree.request('POST', '/users', { json: { email: 'ada@example.com', locale: 'ko' } });
      assert.equal(status, 201);
      const [mail] = await servers.mail.waitFor(1);
      assert.deepEqual([mail?.envelope.to, mail?.secure], [['ada@example.com'], true]);
      assert.equal((await tree.request('GET', '/ready')).status, 200);

      // The pools, and the one that listens, which is its last statement.
      const connections = await servers.postgres.query<{ query: string; ssl: boolean }>(
        `select query, ssl from pg_stat_activity join pg_stat_ssl using (pid) where application_name = 'catamount'`,
        DATABASE_URL,
      );
      assert.ok(connections.some(({ query }) => query.startsWith('LISTEN')));
      assert.ok(connections.some(({ query }) => !query.startsWith('LISTEN')));
      assert.ok(connections.every(({ ssl }) => ssl));
      await until('both kinds of Redis client are connected', () => bothClients(servers.redis.url));

      assert.equal((await tree.stop()).code, 0);
      assert.deepEqual(
        tree.linesMatching(({ json }) => json.level === 'warn' || json.level === 'error').map(({ text }) => text),
        [],
      );
    });
  }
});

/** redis 6, which introduces itself, and bee-queue's redis 3, which does not, beside the one that asks. */
async function bothClients(url: string): Promise<boolean> {
  const client = await createClient({ url, disableClientInfo: true }).connect();
  try {
    const list = await client.sendCommand<string>(['CLIENT', 'LIST']);
    const others = String(list)
      .trim()
      .split('\n')
      .filter((line) => !line.includes('cmd=client|list'));
    return others.some((line) => /lib-name=\S/.test(line)) && others.some((line) => /lib-name= /.test(line));
  } finally {
    client.destroy();
  }
}
