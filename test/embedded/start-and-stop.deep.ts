import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { isRunning } from '../support/processes';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { OwnerProcess } from './owner-process';
import { assertBothAnswer, assertNothingRuns, countUp, startServers, stateFolder } from './servers-under-test';

describe('the embedded servers', () => {
  /** One folder for all tests, since initializing the data takes most of the time. Only its owner can enter it. */
  let stateDir: string;
  before(() => {
    stateDir = stateFolder();
    fs.chmodSync(path.dirname(stateDir), 0o700);
  });
  after(() => removeFolder(path.dirname(stateDir)));

  it('keep their data and ports from run to run, and leave nothing running', async () => {
    const first = await startServers(stateDir);
    assert.match(first.urls.databaseUrl, /^postgres:\/\/postgres:[\w-]{32}@127\.0\.0\.1:\d+\/catamount$/);
    assert.equal(await countUp(first.urls.databaseUrl), 1);
    await first.stop();
    await first.stop();
    assertNothingRuns(stateDir);

    const second = await startServers(stateDir);
    assert.deepEqual(second.urls, first.urls);
    assert.equal(await countUp(second.urls.databaseUrl), 2);
    await second.stop();
    assertNothingRuns(stateDir);
    for (const part of ['postgres', 'postgres/data', 'redis', 'redis/data']) {
      assert.equal(fs.statSync(path.join(stateDir, part)).uid, process.getuid?.(), part);
    }
  });

  it('use other ports if theirs are taken', async () => {
    const first = await startServers(stateDir);
    await first.stop();
    const ports = Object.values(first.urls).map((url) => Number(new URL(url).port));
    const occupied = ports.map((port) => net.createServer().listen(port, '127.0.0.1'));
    await Promise.all(occupied.map((server) => once(server, 'listening')));
    const second = await startServers(stateDir);
    for (const server of occupied) server.close();
    assert.notEqual(second.urls.databaseUrl, first.urls.databaseUrl);
    assert.notEqual(second.urls.redisUrl, first.urls.redisUrl);
    await assertBothAnswer(second.urls);
    await second.stop();
  });

  it('are restarted on the same ports when they die', async () => {
    const run = await startServers(stateDir);
    for (const { pid } of run.started.values()) process.kill(pid, 'SIGKILL');
    await until('both ends are reported', () => run.lost.size === 2);
    await until('both answer again', () => assertBothAnswer(run.urls).then(() => true));
    await run.stop();
    assertNothingRuns(stateDir);
  });

  it('are killed at the deadline of a stop', async () => {
    // A long grace period keeps the keeper, which would end the servers as well, from being first.
    const owner = OwnerProcess.start(stateDir, { stopMs: 600, graceMs: 600_000 });
    await owner.ready();
    const frozen = owner.serverPid('redis');
    process.kill(frozen, 'SIGSTOP');
    await owner.stop();
    await until('the suspended server is gone', () => !isRunning(frozen));
    // This start ends the keeper if the deadline passed before its owner could.
    const next = await startServers(stateDir);
    await next.stop();
    await until('nothing runs', () => assertNothingRuns(stateDir) ?? true);
  });

  it('all stop when one cannot start, and the error contains its log', async () => {
    const broken = stateFolder();
    await (await startServers(broken)).stop();
    fs.writeFileSync(path.join(broken, 'postgres', 'data', 'PG_VERSION'), '9.6\n');
    await assert.rejects(startServers(broken), {
      name: 'UserError',
      message: /embedded Postgres exited with code \d\. Its log, .*postgres\.log, ends with:\n[\s\S]*DATABASE_URL/,
    });
    assertNothingRuns(broken);
    removeFolder(path.join(broken, 'postgres'));
    const run = await startServers(broken);
    await run.stop();
    removeFolder(path.dirname(broken));
  });
});
