import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import type { Tree, TreeStatus } from '../../../lib/cluster/status';
import { Events } from '../../../lib/core/events';
import type { RequestCounts } from '../../../lib/core/request-counts';
import { readSettings } from '../../../lib/core/settings';
import { Statsd } from '../../../lib/ops/metrics/statsd';
import { Deadline } from '../../../lib/support/deadline';
import { BOUNDS_MS } from '../../../lib/support/histogram';
import { HeartbeatRegistry } from '../../../lib/tree/heartbeat-registry';
import { useDatabase, usePostgres, useRedis, useRedisServer } from '../../support/stores';
import { until } from '../../support/until';
import { treeStatusOf } from '../overview/tree-statuses';

/** So many requests have ended, in so many milliseconds each. */
function served(count: number, ms: number): TreeStatus {
  const buckets = BOUNDS_MS.map((bound) => (bound === ms ? count : 0));
  const duration = { counts: [...buckets, 0], sumMs: count * ms };
  const requests: RequestCounts = {
    answered: { 'GET 2xx': count },
    shed: { full: 0, timeout: 0 },
    duration,
    queued: { counts: [...buckets.map(() => 0), 0], sumMs: 0 },
  };
  const totals = { requests, workerRestarts: {}, cpuSeconds: {} };
  return treeStatusOf({ id: 'a', name: 'web.1:a b', stats: { totals } });
}

describe('a StatsD server', () => {
  const postgres = usePostgres({ migrated: true });
  const database = useDatabase(postgres);
  const server = useRedisServer();
  const redis = useRedis(() => server.url);
  const events = new Events();
  const warnings: string[] = [];
  events.on('process.warning', ({ message }) => warnings.push(message));
  const senders: Statsd[] = [];
  let socket: dgram.Socket;
  let packets: string[] = [];

  beforeEach(async () => {
    packets = [];
    socket = dgram.createSocket('udp4');
    socket.on('message', (packet) => packets.push(packet.toString()));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
  });
  afterEach(async () => {
    for (const sender of senders.splice(0)) await sender.stop(Deadline.after(5000));
    socket.close();
  });

  const start = (statusNow: () => TreeStatus, url = `udp://127.0.0.1:${socket.address().port}`) => {
    const config = readSettings({ cwd: '/nowhere', env: { NODE_ENV: 'test', STATSD_URL: url } });
    const tree = { status: async () => statusNow() } as Tree;
    const sender = new Statsd({ app: { name: 'shop' }, config, tree, redis, database, events, everyMs: 50 });
    senders.push(sender);
    sender.appoint(true);
  };
  const lines = () => packets.flatMap((packet) => packet.trimEnd().split('\n'));
  const named = (name: string) => lines().filter((line) => line.startsWith(`catamount_${name}:`));
  /** Waits until two more of all figures have arrived. */
  const sentTwice = async () => {
    const before = named('phase').length;
    await until('two more', () => named('phase').length >= before + 2);
  };

  it('gets gauges as they are, and once what was added to counters and histograms, with tags', async () => {
    let status = served(5, 25);
    start(() => status);
    await sentTwice();
    assert.equal(named('phase')[0], 'catamount_phase:0|g|#app:shop,tree:web.1:a_b');
    assert.deepEqual([named('http_requests_total'), named('http_request_duration')], [[], []]);
    status = served(9, 25);
    await sentTwice();
    await sentTwice();
    const tags = 'app:shop,tree:web.1:a_b';
    assert.deepEqual(named('http_requests_total'), [
      `catamount_http_requests_total:4|c|#${tags},method:GET,status:2xx`,
    ]);
    assert.deepEqual(named('http_request_duration'), [`catamount_http_request_duration:25|ms|@0.25|#${tags}`]);
    assert.ok(packets.length > 1 && packets.every((packet) => Buffer.byteLength(packet) <= 1400));
    for (const line of lines())
      assert.match(line, /^[a-z_0-9]+:[\d.e+-]+\|(g|c|ms\|@[\d.e-]+)\|#app:shop(,[a-z]+:[^,|\s]+)*$/);
  });

  it('gets what all trees share from one of them', async () => {
    start(() => served(0, 25));
    await sentTwice();
    assert.deepEqual([...new Set(named('queue_paused'))].sort(), [
      'catamount_queue_paused:0|g|#app:shop,queue:default',
      'catamount_queue_paused:0|g|#app:shop,queue:mailer',
    ]);
    const other = treeStatusOf({ id: '0' });
    const register = () => new HeartbeatRegistry(redis.client).heartbeat(other.id, { status: JSON.stringify(other) });
    await until('the other tree tells it', async () => {
      await register();
      const [shared, own] = [named('queue_paused').length, named('phase').length];
      await sentTwice();
      return named('queue_paused').length === shared && named('phase').length > own;
    });
  });

  it('that has no address is told of in the log', async () => {
    start(() => served(0, 25), 'udp://nowhere.invalid:8125');
    await until('a warning', () => warnings.length > 0);
    assert.match(warnings[0] ?? '', /^no metrics are sent to STATSD_URL: .*nowhere\.invalid/);
  });
});
