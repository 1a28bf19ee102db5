import assert from 'node:assert/strict';
import net from 'node:net';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Deadline } from '../../lib/support/deadline';
import { TREES } from '../../lib/tree/keys';
import { ChaosPostgres } from '../chaos/scene/postgres';
import { sized } from '../support/long-form';
import { databaseAt } from '../support/postgres';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { CONNECTIONS_TO_REDIS, useDeployment } from './deployment';

/** Duration of the watch over the idle tree: whole minutes, as it has tasks once a minute. */
const MINUTES = sized(1, 10);
/** Commands that an idle tree may send per heartbeat: with four heartbeats a minute these are 30 a minute. */
const COMMANDS_A_HEARTBEAT = 7.5;
const HEARTBEATS = MINUTES * 4;
/** A tree may send one query to Postgres in five minutes. */
const QUERIES = Math.ceil(MINUTES / 5);
/** The dispatcher's query is one, and the session that LISTENs receives its notification in another. */
const TRANSACTIONS_A_QUERY = 2;
/** A tree is idle when it has done nothing for a minute; this is most of it. */
const NEARLY_IDLE_MS = 50_000;

/** Records the commands that clients send to a Redis. INFO commandstats would also count those inside scripts. */
class Monitor {
  readonly commands: string[] = [];
  private readonly socket: net.Socket;
  private rest = '';

  constructor(port: number) {
    this.socket = net.connect(port, '127.0.0.1', () => this.socket.write('MONITOR\r\n'));
    this.socket.on('data', (data) => {
      const lines = (this.rest + data).split('\r\n');
      this.rest = lines.pop() ?? '';
      for (const line of lines) {
        const [, from, command, ...words] = /^\+[\d.]+ \[\d+ ([^\]]+)\] "([^"]+)"(.*)$/.exec(line) ?? [];
        if (from === undefined || from === 'lua') continue;
        this.commands.push(`${command?.toLowerCase()} ${words.join('').slice(0, 120)}`);
      }
    });
  }

  heartbeats(key: string): number {
    return this.commands.filter((command) => command.includes(`"${key}"`)).length;
  }

  end(): void {
    this.socket.destroy();
  }
}

/** A tree with nothing to do, on its own Postgres, which counts every transaction and makes none itself. */
describe(`an idle tree, over ${MINUTES} minutes`, function () {
  this.timeout(Math.max(this.timeout(), (MINUTES + 10) * 60_000));
  let postgres: ChaosPostgres;
  const deployment = useDeployment({
    database: async () => {
      postgres = await ChaosPostgres.make();
      await postgres.administer('alter system set autovacuum = off', 'postgres');
      await postgres.administer('select pg_reload_conf()', 'postgres');
      return databaseAt(postgres.urlBy(postgres.port), () => postgres.remove());
    },
  });
  let redis: Redis;
  let tree: Tree;

  /** @returns whether the tree counts as alive for longer than the heartbeats of a busy one make it. */
  const isResting = async () => {
    const scores = await redis.client.zRangeWithScores(TREES, 0, -1);
    return scores.length > 0 && scores.every(({ score }) => score > Date.now() + 3000);
  };
  // Both queries run in another database, so that they are not counted.
  const named = () => `datname = '${new URL(deployment.database.url).pathname.slice(1)}'`;
  const sessions = () =>
    postgres.administer<{ pid: number; at: string; query: string }>(
      `select pid, query_start::text as at, query from pg_stat_activity where ${named()} and query_start is not null`,
      'postgres',
    );
  const transactions = async () => {
    const sql = `select (xact_commit + xact_rollback)::int as n from pg_stat_database where ${named()}`;
    return (await postgres.administer<{ n: number }>(sql, 'postgres'))[0]?.n ?? Number.NaN;
  };

  before(async () => {
    redis = new Redis(deployment.redis.url, new Events());
    await redis.start();
    tree = await deployment.start();
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    const nearly = performance.now() + NEARLY_IDLE_MS;
    await until('it has done nothing for most of a minute', () => performance.now() > nearly);
    await until('the tree sends the heartbeats of an idle one', isResting);
  });
  after(() => redis.stop(Deadline.after(1000)));

  it('sends at most 30 commands a minute to Redis and a query in 5 minutes to Postgres, keeps four connections, and works at once', async function () {
    const monitor = new Monitor(deployment.redis.port);
    try {
      // A session that was queried each second reports to the statistics of Postgres when it ends.
      await until('only the session that LISTENs is left', async () => (await sessions()).length <= 1);
      const nth = monitor.heartbeats(TREES) + 1;
      await until('the next heartbeat', () => monitor.heartbeats(TREES) === nth);
      const before = new Map((await sessions()).map(({ pid, at }) => [pid, at]));
      const made = await transactions();
      assert.ok(made > 0, 'Postgres counts transactions');
      const from = monitor.commands.length;
      for (let n = 1; n <= HEARTBEATS; n++) await until(`heartbeat ${n}`, () => monitor.heartbeats(TREES) >= nth + n);
      const sent = monitor.commands.slice(from);
      assert.ok(sent.length > HEARTBEATS, 'the monitor has heard the tree');
      assert.ok(sent.length <= HEARTBEATS * COMMANDS_A_HEARTBEAT, `${sent.length} commands:\n${sent.join('\n')}`);
      const asked = (await sessions()).filter(({ pid, at }) => before.get(pid) !== at);
      assert.ok(
        asked.length <= QUERIES,
        `${asked.length} sessions ran a query:\n${asked.map(({ query }) => query).join('\n')}`,
      );
      const more = (await transactions()) - made;
      assert.ok(more <= QUERIES * TRANSACTIONS_A_QUERY, `${more} transactions`);
      const clients = (await redis.client.sendCommand<string>(['CLIENT', 'LIST'])).trim().split('\n');
      assert.equal(clients.length, CONNECTIONS_TO_REDIS + 2, `with two of this test:\n${clients.join('\n')}`);
      await until('only the session that LISTENs is left', async () => (await sessions()).length === 1);
      this.runnable().title += `: ${sent.length} commands, ${more} transactions`;
    } finally {
      monitor.end();
    }
    const answer = await tree.request('POST', '/users', { json: { email: 'early@example.com', name: 'Early' } });
    assert.equal(answer.status, 201, answer.body);
    await deployment.sink.waitFor(1);
  });
});
