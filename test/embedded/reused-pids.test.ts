import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { FolderClaim } from '../../lib/embedded/folder-claim';
import { startKeeper } from '../../lib/embedded/keeper';
import { RedisServer } from '../../lib/embedded/redis-server';
import { stopServer } from '../../lib/embedded/stop-server';
import { Deadline } from '../../lib/support/deadline';
import { isRunning } from '../support/processes';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { OwnerProcess } from './owner-process';
import { countUp, processesOf, startServers, stateFolder } from './servers-under-test';

describe('embedded servers whose pid somebody else has by now', () => {
  let stateDir: string;
  let stranger: ChildProcess;
  beforeEach(() => {
    stateDir = stateFolder();
    stranger = spawn('sleep', ['600'], { stdio: 'ignore' });
  });
  afterEach(async () => {
    stranger.kill('SIGKILL');
    if (stranger.signalCode === null) await once(stranger, 'exit');
    removeFolder(path.dirname(stateDir));
  });

  it('are started anew, with their data, and the stranger is left alone', async () => {
    const owner = OwnerProcess.start(stateDir, { graceMs: 60_000 });
    await countUp((await owner.ready()).databaseUrl, 'CHECKPOINT');
    const pids = [owner.serverPid('postgres'), owner.serverPid('redis')];
    await owner.kill9();
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    const pidFile = path.join(stateDir, 'postgres', 'data', 'postmaster.pid');
    const record = path.join(stateDir, 'redis', 'redis.json');
    const [, ...rest] = fs.readFileSync(pidFile, 'utf8').split('\n');
    fs.writeFileSync(pidFile, [stranger.pid, ...rest].join('\n'));
    fs.writeFileSync(record, fs.readFileSync(record, 'utf8').replace(String(pids[1]), String(stranger.pid)));

    const next = await startServers(stateDir);
    assert.deepEqual(
      [...next.started.values()].map((event) => event.adopted),
      [false, false],
    );
    assert.equal(await countUp(next.urls.databaseUrl), 2);
    await next.stop();
    assert.equal(stranger.signalCode, null);
    await until('the first keeper has seen that it is not needed', () => processesOf(stateDir).length === 0);
  });

  it('are not stopped in the place of a stranger', async () => {
    const pid = stranger.pid ?? 0;
    const running = { process: { pid, gone: () => false }, port: 1, adopted: true };
    await stopServer(new RedisServer(stateDir), running, Deadline.after(1000));

    const claim = await FolderClaim.take(stateDir, undefined);
    const { input, exited } = startKeeper(claim, 0);
    input.end(`${pid} TERM ${path.join(stateDir, 'redis', 'data')}\n`);
    await exited;
    assert.ok(isRunning(pid));
  });
});
