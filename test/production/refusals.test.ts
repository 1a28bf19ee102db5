import assert from 'node:assert/strict';
import { spawnTree, startTree, type Tree, type TreeOptions } from '../support/tree';
import { SecureServers } from './secure-servers';

describe('production with TLS that does not fit', () => {
  let servers: SecureServers;
  let tree: Tree | undefined;
  before(async () => {
    servers = await SecureServers.start(['db.example.com']);
  });
  afterEach(async () => {
    await tree?.cleanup();
    tree = undefined;
  });
  after(() => servers.stop());

  const migrate = async (env: TreeOptions['env']) => {
    tree = spawnTree({ env: { ...servers.env, REDIS_URL: servers.redisUrl, ...env }, args: ['migrate'] });
    const { code } = await tree.end();
    return { code, error: tree.lines.map((line) => line.text).join('\n') };
  };

  it('migrate: sslmode=verify-full refuses an authority that nobody knows, and says what to do', async () => {
    const { code, error } = await migrate({
      DATABASE_URL: servers.postgres.urlOf('catamount', '127.0.0.1', 'verify-full'),
    });
    assert.equal(code, 69);
    assert.match(error, /Cannot migrate.*self-signed certificate/);
    assert.match(error, /NODE_EXTRA_CA_CERTS, or use \?sslmode=require in DATABASE_URL/);
    assert.doesNotMatch(error, /\n\s+at /);
  });

  it('migrate: sslmode=verify-full refuses a name that the certificate has not, and says what to do', async () => {
    const { code, error } = await migrate({
      NODE_EXTRA_CA_CERTS: servers.certificate.authorityFile,
      DATABASE_URL: servers.postgres.urlOf('catamount', 'localhost', 'verify-full'),
    });
    assert.equal(code, 69);
    assert.match(error, /altnames.*use a host name that the certificate has/);
  });

  it('migrate: says what to do when Postgres insists on SSL and the URL asks for none', async () => {
    const { code, error } = await migrate({
      DATABASE_URL: servers.postgres.urlOf('catamount', '127.0.0.1', undefined),
    });
    assert.equal(code, 69);
    assert.match(error, /no encryption: it insists on TLS; use \?sslmode=require in DATABASE_URL/);
  });

  it('migrate: says what to do when nothing listens there', async () => {
    const { code, error } = await migrate({ DATABASE_URL: 'postgres://127.0.0.1:1/shop' });
    assert.equal(code, 69);
    assert.match(error, /Cannot migrate, Postgres at 127\.0\.0\.1:1 .*ECONNREFUSED/);
  });

  it('a tree serves all the same, is not ready, and its log says what to do', async () => {
    tree = await startTree({
      env: {
        ...servers.env,
        DATABASE_URL: servers.postgres.urlOf('catamount', '127.0.0.1', 'verify-full'),
        REDIS_URL: `${servers.redisUrl}?sslmode=verify-full`,
      },
    });
    assert.equal((await tree.request('GET', '/health')).status, 200);
    assert.equal((await tree.request('GET', '/ready')).status, 503);
    await tree.waitForLine(
      /Redis is not reachable: self-signed certificate.*take \?sslmode=verify-full off the Redis URL/,
    );
    await tree.waitForLine(/Postgres: .*self-signed certificate.*use \?sslmode=require in DATABASE_URL/);
    await tree.waitForLine(/listening for new jobs: self-signed certificate.*use \?sslmode=require in DATABASE_URL/);
    assert.equal((await tree.stop()).code, 0);
  });
});
