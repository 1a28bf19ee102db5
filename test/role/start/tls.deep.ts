import assert from 'node:assert/strict';
import { createClient } from 'redis';
import { inSuite, keepInTest } from '../../support/suite';
import { spawnTree, startTree, type Tree, type TreeOptions } from '../../support/tree';
import { until } from '../../support/until';
import { SecureServers } from '../secure-servers';

/** An address that is not loopback by its name, but reaches what listens on 127.0.0.1. It is not in the certificate. */
const ELSEWHERE = '0.0.0.0';

interface Case {
  readonly title: string;
  readonly host: string;
  readonly sslmode: string | undefined;
  readonly redis: (servers: SecureServers) => Record<string, string>;
}

const CASES: readonly Case[] = [
  {
    title: "Heroku's self-signed certificates: no sslmode, and REDIS_TLS_URL takes precedence over REDIS_URL",
    host: ELSEWHERE,
    sslmode: undefined,
    redis: ({ redisUrl }) => ({ DYNO: 'web.1', REDIS_TLS_URL: redisUrl, REDIS_URL: 'redis://127.0.0.1:1' }),
  },
  {
    title: 'Postgres and Redis with sslmode=require, Redis in REDIS_URL',
    host: '127.0.0.1',
    sslmode: 'require',
    redis: ({ redisUrl }) => ({ REDIS_URL: `${redisUrl}?sslmode=require` }),
  },
  {
    title: 'Postgres with sslmode=verify-full and a known authority, and Redis verified by default',
    host: 'localhost',
    sslmode: 'verify-full',
    redis: ({ redisUrl, certificate }) => ({
      REDIS_URL: redisUrl.replace('127.0.0.1', 'localhost'),
      NODE_EXTRA_CA_CERTS: certificate.authorityFile,
    }),
  },
];

describe('production behind TLS', () => {
  const keep = keepInTest((tree: Tree) => tree.cleanup());
  const servers = inSuite('stop', () => SecureServers.start());
  afterEach(() => {
    servers.mail.messages.length = 0;
  });

  const start = async (env: NonNullable<TreeOptions['env']>) =>
    keep(await startTree({ env: { ...servers.env, ...env } }));
  const migrate = async (env: NonNullable<TreeOptions['env']>) => {
    const tree = keep(spawnTree({ env: { ...servers.env, REDIS_URL: servers.redisUrl, ...env }, args: ['migrate'] }));
    const { code } = await tree.exited;
    return { code, text: tree.lines.map((line) => line.text).join('\n') };
  };

  for (const { title, host, sslmode, redis } of CASES) {
    it(`${title}: every client connects over TLS, and the mail arrives`, async () => {
      const DATABASE_URL = await servers.postgres.createDatabase(host, sslmode);
      const env = { ...redis(servers), DATABASE_URL };
      const { code, text } = await migrate(env);
      assert.equal(code, 0, text);
      const tree = await start(env);
      const { status } = await tree.request('POST', '/users', { json: { email: 'ada@example.com', locale: 'ko' } });
      assert.equal(status, 201);
      const [mail] = await servers.mail.waitFor(1);
      assert.deepEqual([mail?.envelope.to, mail?.secure], [['ada@example.com'], true]);
      await until('the tree is ready', async () => (await tree.request('GET', '/ready')).status === 200);

      // There are the connections of the pools, and the one whose last statement is LISTEN.
      const connections = await servers.postgres.query<{ query: string; ssl: boolean }>(
        `select query, ssl from pg_stat_activity join pg_stat_ssl using (pid) where application_name = 'catamount'`,
        DATABASE_URL,
      );
      assert.ok(connections.some(({ query }) => query.startsWith('LISTEN')));
      assert.ok(connections.some(({ query }) => !query.startsWith('LISTEN')));
      assert.ok(connections.every(({ ssl }) => ssl));
      await until('the tree is connected to Redis, too', () => isConnected(servers.redis.url));

      assert.equal((await tree.stop()).code, 0);
      assert.deepEqual(
        tree.linesMatching(({ json }) => json.level === 'warn' || json.level === 'error').map(({ text }) => text),
        [],
      );
    });
  }

  const refusals: Readonly<Record<string, { url: () => string; known?: true; says: RegExp }>> = {
    'an unknown authority': {
      url: () => servers.postgres.urlOf('catamount', '127.0.0.1', 'verify-full'),
      says: /Cannot migrate.*self-signed certificate.*NODE_EXTRA_CA_CERTS, or use \?sslmode=require in DATABASE_URL/s,
    },
    'an unknown authority without sslmode in the URL': {
      url: () => servers.postgres.urlOf('catamount', ELSEWHERE, undefined),
      says: /Cannot migrate.*self-signed certificate.*NODE_EXTRA_CA_CERTS, or use \?sslmode=require in DATABASE_URL/s,
    },
    'a host name that is not in the certificate': {
      url: () => servers.postgres.urlOf('catamount', ELSEWHERE, 'verify-full'),
      known: true,
      says: /altnames.*use a host name that the certificate has/,
    },
    'a URL without SSL if Postgres requires it': {
      url: () => servers.postgres.urlOf('catamount', '127.0.0.1', undefined),
      says: /no encryption: it insists on TLS; use \?sslmode=require in DATABASE_URL/,
    },
    'an address where nothing listens': {
      url: () => 'postgres://127.0.0.1:1/shop',
      says: /Cannot migrate, Postgres at 127\.0\.0\.1:1 .*ECONNREFUSED/,
    },
  };
  for (const [name, { url, known, says }] of Object.entries(refusals)) {
    it(`migrate rejects ${name}, and names the remedy`, async () => {
      const { code, text } = await migrate({
        DATABASE_URL: url(),
        ...(known && { NODE_EXTRA_CA_CERTS: servers.certificate.authorityFile }),
      });
      assert.match(text, says);
      assert.equal(code, 69);
      assert.doesNotMatch(text, /\n\s+at /);
    });
  }

  it('a tree that trusts none of them answers /health, is not ready, and its log names the remedy', async () => {
    const tree = await start({
      DATABASE_URL: servers.postgres.urlOf('catamount', '127.0.0.1', 'verify-full'),
      REDIS_URL: servers.redisUrl,
    });
    assert.equal((await tree.request('GET', '/health')).status, 200);
    assert.equal((await tree.request('GET', '/ready')).status, 503);
    for (const pattern of [
      /Redis is not reachable: self-signed certificate.*use \?sslmode=require in the Redis URL/,
      /Postgres: .*self-signed certificate.*use \?sslmode=require in DATABASE_URL/,
      /listening for new jobs: self-signed certificate.*use \?sslmode=require in DATABASE_URL/,
    ])
      await tree.waitForLine(pattern);
    assert.equal((await tree.stop()).code, 0);
  });
});

/** @returns whether a client is connected that waits for jobs: this Redis is reached over TLS only. */
async function isConnected(url: string): Promise<boolean> {
  const client = await createClient({ url, disableClientInfo: true }).connect();
  try {
    return / cmd=brpop /.test(String(await client.sendCommand<string>(['CLIENT', 'LIST'])));
  } finally {
    client.destroy();
  }
}
