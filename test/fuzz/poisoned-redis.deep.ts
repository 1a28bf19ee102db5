import assert from 'node:assert/strict';
import type { RedisClient } from '../../lib/core/redis';
import { readSettings } from '../../lib/core/settings';
import type { SystemStatus } from '../../lib/health/status-collector';
import { overviewView } from '../../lib/ops/overview/overview-view';
import { Formatter } from '../../lib/ops/ui/format';
import { pageTexts, TEXTS } from '../../lib/ops/ui/texts';
import { TREES, treeStatusKey } from '../../lib/tree/tree-commands';
import { TreeDirectory } from '../../lib/tree/tree-directory';
import { ShopPages } from '../ops/jobs/shop-pages';
import { SIGNED } from '../ops/ops-web';
import { NOW, treeStatusOf } from '../ops/overview/tree-statuses';
import { OPERATOR, Visitor } from '../ops/visitor';
import { cases, SEED } from './campaign';
import { Mutator } from './mutator';

const CONFIG = readSettings({ cwd: '/srv', env: {} });
const METRICS_TOKEN = '0123456789abcdef';
const LISTS = ['dead', 'retry', 'scheduled', 'busy', 'queues', 'queues/default', 'cron', 'classes'];
const PAGES = ['/ops', '/ops?tree=other', '/ops/processes', '/ops/charts', '/ops/metrics'].concat(
  LISTS.map((name) => `/ops/jobs/${name}`),
);
const WORDS = ['null', '[]', '{}', '"', ',', ':', '-1', '1e999', 'x', '\0', '"pid":{}', '[null]', '\ud83d'];
/** How many keys are changed at once. */
const CHANGED = 3;

/** A key and its contents: members with their scores, fields with their values, or one string. */
interface Kept {
  readonly key: string;
  readonly type: string;
  readonly entries: readonly (readonly [string, string])[];
}

/** The pages are served whatever another version, or anybody else, has written into the keys that they read. */
describe("the operator's pages, with nonsense in Redis", () => {
  let shop: ShopPages;
  let client: RedisClient;
  const kept: Kept[] = [];
  before(async () => {
    shop = await ShopPages.start({ ...SIGNED, METRICS_TOKEN });
    client = shop.redis.client;
    await shop.seed();
    await client.set(treeStatusKey('other'), JSON.stringify(treeStatusOf({ id: 'other' })));
    await client.zAdd(TREES, { score: Date.now() + 3_600_000, value: 'other' });
    for (const key of (await client.keys('*')).sort()) kept.push(await read(key));
    await shop.stopProcessors();
  });
  after(() => shop?.stop());

  async function read(key: string): Promise<Kept> {
    const type = await client.type(key);
    const one = (text: string | null): [string, string][] => [[text ?? '', '']];
    const scored = async () =>
      (await client.zRangeWithScores(key, 0, -1)).map(({ value, score }) => [value, `${score}`] as const);
    const members = async () =>
      (type === 'set' ? await client.sMembers(key) : await client.lRange(key, 0, -1)).map(
        (each) => [each, ''] as const,
      );
    const entries =
      type === 'string'
        ? one(await client.get(key))
        : type === 'hash'
          ? Object.entries(await client.hGetAll(key))
          : type === 'zset'
            ? await scored()
            : await members();
    return { key, type, entries };
  }

  async function write({ key, type, entries }: Kept): Promise<void> {
    await client.del(key);
    for (const [one, other] of entries) {
      if (type === 'string') await client.set(key, one);
      else if (type === 'hash') await client.hSet(key, one, other);
      else if (type === 'zset') await client.zAdd(key, { score: Number(other) || 0, value: one });
      else if (type === 'set') await client.sAdd(key, one);
      else await client.rPush(key, one);
    }
  }

  it('are served without a 5xx or an error in the log', async () => {
    const mutator = new Mutator(SEED, WORDS);
    const operator = await Visitor.signIn(shop.ops, OPERATOR);
    const change = (text: string) => mutator.mutate([text]).toString('utf8');
    const changed = ([one, other]: readonly [string, string]) =>
      mutator.pick([
        [change(one), other],
        [one, change(other)],
      ] as const);
    for (let n = cases(130); n > 0; n--) {
      const touched = Array.from({ length: CHANGED }, (_, i) => kept[(n * 11 + i * 5) % kept.length] as Kept);
      for (const one of touched) await write({ ...one, entries: one.entries.map(changed) });
      const path = PAGES[n % PAGES.length] ?? '/ops';
      const headers = path === '/ops/metrics' ? { authorization: `Bearer ${METRICS_TOKEN}` } : {};
      const { status } = await operator.get(path, headers);
      const errors = shop.ops.errors.map(({ error }) => error.stack);
      assert.deepEqual([status < 500, errors], [true, []], `${path} with ${touched.map(({ key }) => key)}`);
      for (const one of touched) await write(one);
    }
  });

  it('show the status of another tree, whatever it holds', async () => {
    const mutator = new Mutator(SEED, WORDS);
    const words = new Formatter(pageTexts(TEXTS).in('en'), new Date(NOW), false);
    const text = JSON.stringify(treeStatusOf({ id: 'other' }));
    const away = { ok: false, error: new Error('away'), since: new Date(NOW) } as const;
    const seen = <T>(value: T) => ({ ok: true, value, tookMs: 1 }) as const;
    let shown = 0;
    for (let n = cases(400); n > 0; n--) {
      await client.set(treeStatusKey('other'), mutator.mutate([text]).toString('utf8'));
      const trees = seen(await new TreeDirectory(client).list());
      const all = {
        queues: seen([]),
        foreign: away,
        outbox: away,
        postgres: away,
        redis: away,
        mail: away,
        actions: away,
      };
      const more = { failures: away, cron: away, redisLost: null };
      const systemStatus: SystemStatus = {
        at: new Date(NOW),
        own: seen(treeStatusOf({ id: 'own' })),
        trees,
        ...all,
        ...more,
      };
      for (const tree of [null, 'other']) if (overviewView(systemStatus, tree, CONFIG, words) && tree) shown++;
    }
    assert.ok(shown > 0);
  });
});
