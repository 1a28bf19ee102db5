import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { isRunning } from '../support/processes';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { OwnerProcess } from './owner-process';
import {
  assertBothAnswer,
  assertNothingRuns,
  countUp,
  keepersOf,
  processesOf,
  startServers,
  stateFolder,
  useOtherProcess,
} from './servers-under-test';

/** Longer than any test, so that the next start always comes within it. */
const LONG_MS = 600_000;
const nothingRuns = (stateDir: string) => () => processesOf(stateDir).length === 0;

describe('after a kill -9 of their owner the embedded servers', () => {
  /** One folder for all tests, since initializing the data takes most of the time. */
  let stateDir: string;
  before(() => {
    stateDir = stateFolder();
  });
  after(() => removeFolder(path.dirname(stateDir)));

  it('are stopped by the next start, which has its own, with their data and ports', async () => {
    const owner = OwnerProcess.start(stateDir, { graceMs: LONG_MS });
    const urls = await owner.ready();
    const count = await countUp(urls.databaseUrl);
    await owner.kill9();

    const next = await startServers(stateDir);
    assert.deepEqual(next.urls, urls);
    for (const server of ['postgres', 'redis'] as const) {
      assert.notEqual(next.started.get(server)?.pid, owner.serverPid(server));
      assert.equal(isRunning(owner.serverPid(server)), false);
    }
    assert.equal(await countUp(urls.databaseUrl), count + 1);
    await assertBothAnswer(urls);
    await until('the keeper of the first exits', () => keepersOf(stateDir).length === 1);
    await next.stop();
    assertNothingRuns(stateDir);
  });

  it('are stopped by the keeper if no new owner starts, with their data intact', async () => {
    const owner = OwnerProcess.start(stateDir, { graceMs: 2000 });
    const count = await countUp((await owner.ready()).databaseUrl);
    const since = performance.now();
    await owner.kill9();
    await until('the keeper has stopped the servers and exited', nothingRuns(stateDir));
    assert.ok(performance.now() - since >= 2000, 'those who still work have them for the time of grace');

    const next = await startServers(stateDir);
    assert.equal(await countUp(next.urls.databaseUrl), count + 1);
    await next.stop();
  });

  it('are stopped by the next start if it does not need them', async () => {
    const owner = OwnerProcess.start(stateDir, { graceMs: LONG_MS });
    await owner.ready();
    await owner.kill9();
    const next = await startServers(stateDir, 'redis');
    assert.equal(isRunning(owner.serverPid('postgres')), false);
    await next.stop();
    await until('nothing runs', nothingRuns(stateDir));
  });

  it('are waited for while the keeper stops them', async () => {
    const owner = OwnerProcess.start(stateDir);
    await owner.ready();
    const frozen = owner.serverPid('redis');
    process.kill(frozen, 'SIGSTOP');
    await owner.kill9();
    await until('the keeper has stopped the other one', () => !isRunning(owner.serverPid('postgres')));
    const starting = startServers(stateDir);
    process.kill(frozen, 'SIGCONT');
    const next = await starting;
    assert.notEqual(next.started.get('redis')?.pid, frozen);
    await next.stop();
    await until('nothing runs', nothingRuns(stateDir));
  });

  describe('and of themselves, when other processes have their pids,', () => {
    const other = useOtherProcess();

    it('are started again with their data, and the other process is left alone', async () => {
      const owner = OwnerProcess.start(stateDir, { graceMs: LONG_MS });
      const count = await countUp((await owner.ready()).databaseUrl, 'CHECKPOINT');
      const pids = [owner.serverPid('postgres'), owner.serverPid('redis')];
      await owner.kill9();
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      const pidFile = path.join(stateDir, 'postgres', 'data', 'postmaster.pid');
      const record = path.join(stateDir, 'redis', 'redis.json');
      const [, ...rest] = fs.readFileSync(pidFile, 'utf8').split('\n');
      fs.writeFileSync(pidFile, [other().pid, ...rest].join('\n'));
      fs.writeFileSync(record, fs.readFileSync(record, 'utf8').replace(String(pids[1]), String(other().pid)));

      const next = await startServers(stateDir);
      assert.equal(await countUp(next.urls.databaseUrl), count + 1);
      await next.stop();
      assert.equal(other().signalCode, null);
      await until('the first keeper has exited', nothingRuns(stateDir));
    });
  });
});
