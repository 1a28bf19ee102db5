import assert from 'node:assert/strict';
import net from 'node:net';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { PROCESS_KEYS } from '../../lib/job/processes/process-list';
import { Deadline } from '../../lib/support/async';
import { TREE_KEYS } from '../../lib/tree/tree-commands';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { Surroundings } from './surroundings';

/** What an idle tree may send, by its own heartbeat: four of these a minute, and 30 commands. */
const COMMANDS_A_HEARTBEAT = 7.5;
const HEARTBEATS = 8;
/** It is idle when it has done nothing for a minute; this is the most of that. */
const NEARLY_IDLE_MS = 50_000;

/** What clients send to a Redis. INFO commandstats would count what scripts call, too. */
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

describe('an idle tree', () => {
  let around: Surroundings;
  let redis: Redis;
  before(async () => {
    around = await Surroundings.make();
    redis = new Redis(around.redis.url, new Events());
    await redis.start();
  });
  after(async () => {
    await redis.stop(Deadline.after(1000));
    await around.remove();
  });

  /** Whether all members count as alive for longer than the heartbeats of a tree at work say. */
  const isResting = async (members: string) => {
    const scores = await redis.client.zRangeWithScores(members, 0, -1);
    return scores.length > 0 && scores.every(({ score }) => score > Date.now() + 3000);
  };
  const sessions = () =>
    around.database.query<{ pid: number; at: string }>(
      `select pid, query_start::text as at from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and query_start is not null`,
    );

  let tree: Tree;
  before(async () => {
    tree = await around.start();
    await tree.waitForLine(/job processor \(pid \d+\) is ready/);
    const nearly = performance.now() + NEARLY_IDLE_MS;
    await until('it has done nothing for most of a minute', () => performance.now() > nearly);
    await until('the tree rests', () => isResting(TREE_KEYS.members));
    await until('the processor rests', () => isResting(PROCESS_KEYS.members));
  });

  it('asks Redis 30 times a minute at most, and Postgres nothing, and works at once when there is work', async () => {
    const monitor = new Monitor(around.redis.port);
    try {
      await until('the first heartbeat', () => monitor.heartbeats(TREE_KEYS.members) === 1);
      const before = new Map((await sessions()).map(({ pid, at }) => [pid, at]));
      const from = monitor.commands.length;
      for (let n = 1; n <= HEARTBEATS; n++)
        await until(`heartbeat ${n}`, () => monitor.heartbeats(TREE_KEYS.members) > n);
      const sent = monitor.commands.slice(from);
      assert.ok(sent.length > HEARTBEATS, 'it was heard');
      assert.ok(sent.length <= HEARTBEATS * COMMANDS_A_HEARTBEAT, `${sent.length} commands:\n${sent.join('\n')}`);
      const asked = (await sessions()).filter(({ pid, at }) => before.get(pid) !== at);
      assert.ok(asked.length <= 1, `${asked.length} sessions were asked something`);
    } finally {
      monitor.end();
    }
    const answer = await tree.request('POST', '/users', { json: { email: 'early@example.com', name: 'Early' } });
    assert.equal(answer.status, 201, answer.body);
    await around.sink.waitFor(1);
  });
});
