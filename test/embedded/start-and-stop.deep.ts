import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Events } from '../../lib/core/events';
import { EmbeddedServers } from '../../lib/embedded/embedded-servers';
import { Deadline } from '../../lib/support/deadline';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { assertBothAnswer, assertNothingRuns, countUp, startServers, stateFolder } from './servers-under-test';

describe('the embedded servers', () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = stateFolder();
  });
  afterEach(() => removeFolder(path.dirname(stateDir)));

  it('start, keep data and ports from run to run, and leave nothing running', async () => {
    const first = await startServers(stateDir);
    assert.match(first.urls.databaseUrl, /^postgres:\/\/postgres@127\.0\.0\.1:\d+\/catamount$/);
    assert.equal(await countUp(first.urls.databaseUrl), 1);
    await first.stop();
    await first.stop();
    assertNothingRuns(stateDir);

    const second = await startServers(stateDir);
    assert.deepEqual(second.urls, first.urls);
    assert.equal(await countUp(second.urls.databaseUrl), 2);
    assert.deepEqual(
      [...second.started.values()].map((event) => event.adopted),
      [false, false],
    );
    await second.stop();
    assertNothingRuns(stateDir);
  });

  it('run in a folder that only its owner may enter', async () => {
    fs.chmodSync(path.dirname(stateDir), 0o700);
    const run = await startServers(stateDir);
    await assertBothAnswer(run.urls);
    await run.stop();
    for (const part of ['claims', 'postgres', 'postgres/data', 'redis', 'redis/data']) {
      assert.equal(fs.statSync(path.join(stateDir, part)).uid, process.getuid?.(), part);
    }
  });

  it('of two checkouts run side by side', async () => {
    const other = stateFolder();
    const [one, two] = await Promise.all([startServers(stateDir), startServers(other)]);
    const counts = [await countUp(one.urls.databaseUrl), await countUp(two.urls.databaseUrl)];
    assert.deepEqual(counts, [1, 1]);
    await Promise.all([one.stop(), two.stop()]);
    removeFolder(path.dirname(other));
  });

  it('take other ports when somebody has theirs', async () => {
    const first = await startServers(stateDir);
    await first.stop();
    const ports = Object.values(first.urls).map((url) => Number(new URL(url).port));
    const occupied = ports.map((port) => net.createServer().listen(port, '127.0.0.1'));
    const second = await startServers(stateDir);
    for (const server of occupied) server.close();
    assert.notEqual(second.urls.databaseUrl, first.urls.databaseUrl);
    assert.notEqual(second.urls.redisUrl, first.urls.redisUrl);
    await assertBothAnswer(second.urls);
    await second.stop();
  });

  it('are started again where they were when they end by themselves', async () => {
    const run = await startServers(stateDir);
    for (const { pid } of run.started.values()) process.kill(pid, 'SIGKILL');
    await until('both have been lost', () => run.lost.size === 2);
    await until('both answer again', () => assertBothAnswer(run.urls).then(() => true));
    await run.stop();
    assertNothingRuns(stateDir);
  });

  it('touch nothing when none is needed', async () => {
    const servers = new EmbeddedServers({ stateDir, needPostgres: false, needRedis: false, events: new Events() });
    assert.deepEqual(await servers.start(), {});
    await servers.stop(Deadline.after(1000));
    assert.equal(fs.existsSync(stateDir), false);
  });

  it('may be stopped without having been started', async () => {
    const servers = new EmbeddedServers({ stateDir, needPostgres: true, needRedis: true, events: new Events() });
    await servers.stop(Deadline.after(1000));
  });

  it('end by the deadline, by force if need be', async () => {
    const run = await startServers(stateDir);
    process.kill(run.started.get('redis')?.pid ?? 0, 'SIGSTOP');
    await run.stop(600);
    assertNothingRuns(stateDir);
  });

  it('all stop, with the log in the message, when one cannot start', async () => {
    fs.mkdirSync(path.join(stateDir, 'postgres', 'data'), { recursive: true, mode: 0o700 });
    fs.chmodSync(path.join(stateDir, 'postgres'), 0o700);
    fs.writeFileSync(path.join(stateDir, 'postgres', 'data', 'PG_VERSION'), '9.6\n');
    await assert.rejects(startServers(stateDir), {
      name: 'UserError',
      message: /embedded Postgres exited with code \d\. Its log, .*postgres\.log, ends with:\n[\s\S]*DATABASE_URL/,
    });
    assertNothingRuns(stateDir);
    removeFolder(path.join(stateDir, 'postgres'));
    const run = await startServers(stateDir);
    await run.stop();
  });
});
