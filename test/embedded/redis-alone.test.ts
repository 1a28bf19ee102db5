import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { createClient } from 'redis';
import { Events } from '../../lib/core/events';
import { EmbeddedServers } from '../../lib/embedded/embedded-servers';
import { Keeper } from '../../lib/embedded/keeper';
import { RedisServer } from '../../lib/embedded/redis-server';
import { stopServer } from '../../lib/embedded/server-lifecycle';
import { Deadline } from '../../lib/support/deadline';
import { isRunning } from '../support/processes';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { OwnerProcess } from './owner-process';
import {
  assertNothingRuns,
  assertRedisAnswers,
  keepersOf,
  processesOf,
  startServers,
  stateFolder,
  useOtherProcess,
} from './servers-under-test';

/** @returns how often it has been called for the data of this Redis. */
async function countUpIn(redisUrl: string): Promise<number> {
  const client = await createClient({ url: redisUrl }).connect();
  return client.incr('count').finally(() => client.destroy());
}

/** The thin path, with Redis, which starts in a moment. The tests with Postgres are in the deep tier. */
describe('an embedded Redis', () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = stateFolder();
  });
  afterEach(() => removeFolder(path.dirname(stateDir)));

  it('that a killed owner has left is stopped by the next start, which has its own on the same port', async () => {
    const owner = OwnerProcess.start(stateDir, { which: 'redis', graceMs: 600_000 });
    const { redisUrl } = await owner.ready();
    assert.equal(await countUpIn(redisUrl), 1);
    await owner.kill9();

    const next = await startServers(stateDir, 'redis');
    assert.equal(next.urls.redisUrl, redisUrl);
    assert.equal(isRunning(owner.serverPid('redis')), false);
    await until('the first keeper has left', () => keepersOf(stateDir).length === 1);
    assert.equal(await countUpIn(redisUrl), 2, 'its data is still there');
    await next.stop();
    assertNothingRuns(stateDir);
  });

  it('keeps running when a second start in its folder is refused', async () => {
    const first = await startServers(stateDir, 'redis');
    await assert.rejects(startServers(stateDir, 'redis'), {
      message: new RegExp(`^Another Catamount, pid ${process.pid}, runs in this folder`),
    });
    await assertRedisAnswers(first.urls.redisUrl);
    await first.stop();
    assertNothingRuns(stateDir);
  });

  it('is not started when it is not needed, and can be stopped without having been started', async () => {
    const none = new EmbeddedServers({ stateDir, needPostgres: false, needRedis: false, events: new Events() });
    assert.deepEqual(await none.start(), {});
    await none.stop(Deadline.after(1000));
    const unused = new EmbeddedServers({ stateDir, needPostgres: true, needRedis: true, events: new Events() });
    await unused.stop(Deadline.after(1000));
    assert.equal(fs.existsSync(stateDir), false);
  });

  it('is stopped by the keeper when its owner was killed', async () => {
    const owner = OwnerProcess.start(stateDir, { which: 'redis' });
    await owner.ready();
    await owner.kill9();
    await until('nothing runs', () => processesOf(stateDir).length === 0);
  });

  describe('whose pid another process has now', () => {
    const other = useOtherProcess();

    it('does not get that process killed by its owner or by the keeper', async () => {
      const pid = other().pid ?? 0;
      await stopServer(new RedisServer(stateDir), pid, Deadline.after(1000));
      const keeper = new Keeper(stateDir, 0);
      keeper.watch(pid, 'TERM', path.join(stateDir, 'redis', 'data'));
      await keeper.dismiss();
      assert.ok(isRunning(pid));
    });
  });
});
