import assert from 'node:assert/strict';
import pg from 'pg';
import { inSuite } from '../../support/suite';
import { TcpProxy } from '../../support/tcp-proxy';
import { OpsWeb, SIGNED, tokenIn } from '../ops-web';
import { textOf } from '../page-view';

describe('when Postgres accepts connections but does not reply', () => {
  let proxy: TcpProxy;
  const ops = inSuite('stop', () =>
    OpsWeb.start(SIGNED, undefined, async (address) => {
      proxy = await TcpProxy.start(address);
      return proxy.url;
    }),
  );
  after(() => proxy?.down());

  it('pages that need it answer 503 and say so, and the others work', async () => {
    const cookie = await ops.signIn(SIGNED.OPS_PASSWORD);
    const get = (path: string) => ops.get(path, { Cookie: cookie });
    const page = await get('/ops/mail/deliveries');
    assert.equal(page.status, 200);
    proxy.hold();
    const says503 = async (path: string) => {
      const { status, headers, body } = await get(path);
      assert.deepEqual([status, headers['retry-after']], [503, '2'], textOf(body));
      assert.match(textOf(body), /Postgres does not answer/, path);
    };
    const forms = {
      'cron/NoJob/pause': {},
      // A form that only leads to the confirmation page is not an action.
      'retry/action': { action: 'delete', all: '1' },
    };
    const token = tokenIn(page.body);
    // First the existing connection of the pool is silent, then new ones.
    // /ops serves four requests at a time.
    await Promise.all(
      ['mail/deliveries', 'jobs/scheduled', 'jobs/dead', 'jobs/queues'].map((path) => says503(`/ops/${path}`)),
    );
    await Promise.all([
      ...Object.entries(forms).map(async ([path, fields]) => {
        const { status, body } = await ops.post(`/ops/jobs/${path}`, { token, ...fields }, { Cookie: cookie });
        assert.deepEqual([status, /Postgres does not answer/.test(textOf(body))], [503, true], path);
      }),
      get('/ops/jobs/scheduled.json').then((json) =>
        assert.deepEqual([json.status, json.json().reason], [503, 'away']),
      ),
      says503('/ops/jobs/busy'),
    ]);
    assert.match(textOf((await get('/ops')).body), /Postgres/);
  });
});

describe('when Postgres answers, and refuses connections', () => {
  const ops = inSuite('stop', () =>
    OpsWeb.start({}, undefined, async (address) => {
      const url = new URL(address);
      const client = new pg.Client(address);
      await client.connect();
      url.username = `full_${url.pathname.slice(1)}`;
      url.password = 'first';
      await client.query(`create role ${url.username} login password 'first' connection limit 0`);
      await client.end();
      return url.href;
    }),
  );

  it('pages that need it answer 503, and do not say that it is silent', async () => {
    const { status, body } = await ops.get('/ops/mail/deliveries');
    assert.deepEqual(
      [status, body.match(/Postgres (?:answers|does not)[^<]*/)?.[0].trim()],
      [503, 'Postgres answers, but refuses this. Nothing was changed.'],
    );
    const overview = textOf((await ops.get('/ops')).body);
    assert.match(overview, /Postgres refuses connections for .* \(53300\)/);
    assert.doesNotMatch(overview, /Postgres does not answer/);
  });
});
