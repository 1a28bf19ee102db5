import assert from 'node:assert/strict';
import { shardUrls } from '../../lib/core/redis-shards';
import { clientUrl, redisPlace } from '../../lib/core/redis-url';
import { readSettings } from '../../lib/core/settings';
import { ConfigError } from '../../lib/core/settings-reader';
import { assignedTo } from '../guide-blocks';

const machine = { memoryLimitMb: null, cores: 4 };
const read = (env: Record<string, string>, only?: string) => readSettings({ env, cwd: '/srv/shop', only, machine });

describe('REDIS_SHARDS', () => {
  it('lists queues with a Redis of their own, separated by white space', () => {
    const { redisShards, redisUrl } = read({
      REDIS_URL: 'redis://a',
      REDIS_PREFIX: 'app',
      REDIS_SHARDS: ' mailer=redis://u:p%20w@b:6379\n reports=redis+sentinel://s/shop ',
    });
    assert.deepEqual(Object.keys(redisShards), ['mailer', 'reports']);
    assert.equal(redisShards.mailer, 'redis://u:p%20w@b:6379?keyPrefix=%7Bapp%7D');
    assert.equal(redisPlace(redisShards.reports ?? ''), 's:26379/shop');
    assert.deepEqual(shardUrls(redisUrl ?? ''), redisShards);
    assert.equal(clientUrl(redisUrl ?? ''), 'redis://a');
    assert.deepEqual(shardUrls(read({ REDIS_URL: 'redis://a' }).redisUrl ?? ''), {});
  });

  it('accepts the example of the guide', () => {
    const [, shards = ''] =
      /^REDIS_SHARDS="(.*)"$/m.exec(assignedTo('test/core/shard-setting.test.ts', 'REDIS_SHARDS=')) ?? [];
    const { redisShards } = read({ REDIS_URL: 'redis://a', REDIS_SHARDS: shards });
    assert.deepEqual(redisShards, { mailer: 'redis://b:6379', reports: 'rediss://c:6380' });
  });

  it('adds its queues to those that are served, unless JOB_QUEUES is set', () => {
    const served = (env: Record<string, string>) =>
      read({ REDIS_URL: 'redis://a', REDIS_SHARDS: 'reports=redis://b mailer=redis://b', ...env }).jobs.queues;
    assert.deepEqual(
      served({}).map(({ name, weight }) => `${name}:${weight}`),
      ['default:1', 'mailer:1', 'reports:1'],
    );
    assert.deepEqual(
      served({ JOB_QUEUES: 'mailer' }).map(({ name }) => name),
      ['mailer'],
    );
  });

  for (const [wrong, remedy] of [
    ['mailer', /queue=URL for each queue, separated by spaces/],
    ['mailer=http://u:secret@b', /"mailer=http:\/\/…"; it must be queue=URL .* a redis:\/\/ or rediss:\/\/ URL/],
    ['mailer=redis://u:secret@b mailer=redis://u:secret@c', /"mailer=redis:\/\/…"; .*mailer is named twice/],
    ['mailer=redis://u:secret@a:6379/0', /another server than that of REDIS_URL/],
    ['mailer=redis://b default=redis://u:secret@b:6379', /another server than that of another queue/],
  ] as const) {
    it(`rejects ${wrong}`, () => {
      const start = () => read({ REDIS_URL: 'redis://a', REDIS_SHARDS: wrong });
      assert.throws(start, (error) => {
        assert.ok(error instanceof ConfigError);
        assert.equal(error.exitCode, 78);
        assert.match(error.message, /^Catamount cannot start: a setting is wrong\.\n {2}REDIS_SHARDS /);
        assert.match(error.message, remedy);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    });
  }
});
