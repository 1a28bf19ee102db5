import assert from 'node:assert/strict';
import { UserError } from '../../lib/core/errors';
import { readSentinelUrl } from '../../lib/core/sentinel-url';
import { Sentinels } from '../../lib/core/sentinels';
import { startTestRedis, type TestRedis } from '../support/redis';
import { type Sentinel, startSentinel } from '../support/sentinels';

describe('sentinels', () => {
  let servers: TestRedis[];
  let older: Sentinel;
  let newer: Sentinel;
  before(async () => {
    servers = [await startTestRedis(), await startTestRedis()];
    [older, newer] = [await sentinelOf(0, 3), await sentinelOf(1, 4)];
  });
  after(() => Promise.all([older, newer, ...servers].map((process) => process.remove())));

  const sentinelOf = (index: number, epoch: number) => startSentinel(servers[index]?.port ?? 0, 'guarded', epoch);
  const sentinelsAt = (sentinels: readonly Sentinel[], master = 'shop') => {
    const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`);
    return new Sentinels(
      readSentinelUrl(`redis+sentinel://${hosts}/${master}?sentinelPassword=guarded`) ?? assert.fail(),
    );
  };

  it('names the master that the first of them knows', async () => {
    const known = servers.map(({ port }) => port);
    const { host, port } = await sentinelsAt([older, newer]).locate();
    assert.deepEqual([host, known.includes(port)], ['127.0.0.1', true]);
  });

  it('skips a sentinel that does not answer', async () => {
    newer.pause();
    try {
      const { port } = await sentinelsAt([newer, older]).locate();
      assert.equal(port, servers[0]?.port);
      await assert.rejects(
        sentinelsAt([newer]).locate(),
        /^Error: no sentinel answers \(127.0.0.1:\d+: no answer within 1000 ms/,
      );
    } finally {
      newer.resume();
    }
  });

  it('is rejected with exit code 78 when the sentinels know no such master', async () => {
    await assert.rejects(sentinelsAt([older, newer], 'shops').locate(), (error: unknown) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.exitCode, 78);
      return /watch no master called shops/.test(error.message);
    });
  });
});
