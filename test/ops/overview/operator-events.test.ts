import assert from 'node:assert/strict';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { useShopPages } from '../jobs/shop-pages';
import { viewOf } from '../page-view';

const BY = '(requested by operator 127.0.0.1)';

describe('the actions of operators among the events', () => {
  const shop = useShopPages();
  const operator = inSuite(undefined, () => shop.operator);
  beforeEach(() => shop.reset());

  const confirmed = (expected: number) => ({ confirmed: '1', expected: String(expected) });
  /** Waits until a page shows these events, newest first, which may take a second. */
  const shows = (events: readonly string[], at = '/ops') =>
    until(`${at} shows the events`, async () => {
      const { body } = await operator.get(at);
      const [, section = ''] = /<ul class="events">([\s\S]*?)<\/ul>/.exec(body) ?? [];
      const shown = section
        .split('<li')
        .slice(1)
        .map((item) => viewOf(`<li${item}`).text.replace(/^\S+ /, ''));
      assert.deepEqual(shown.slice(0, events.length), events);
      return true;
    });

  it('say who did what to how many jobs, in both languages', async () => {
    const dead = await Promise.all([1, 2, 3].map((n) => shop.storeDead({ at: Date.now() - 10 + n })));
    const retry = await shop.store('scheduled', { queue: 'mailer', errors: ['no'], at: Date.now() + 3_600_000 });
    await shop.processor();
    await until('the recurring job is known', async () =>
      /PruneSessionsJob/.test(await operator.read('/ops/jobs/cron')),
    );
    await operator.act('/ops/jobs/queues/default/pause');
    await operator.act('/ops/jobs/dead/action', { action: 'retry', id: `default/${dead[0]}` });
    await operator.act('/ops/jobs/dead/action', { all: '1', action: 'delete', ...confirmed(2) });
    await operator.act('/ops/jobs/retry/action', { id: `mailer/${retry}`, action: 'kill', ...confirmed(1) });
    await operator.act('/ops/jobs/queues/default/clear', confirmed(1));
    await operator.act('/ops/jobs/queues/default/resume');
    for (const act of ['trigger', 'pause']) await operator.act(`/ops/jobs/cron/PruneSessionsJob/${act}`);
    const events = [
      ...['Paused', 'Triggered'].map((done) => `${done} recurring job PruneSessionsJob`),
      'Resumed queue default',
      'Cleared queue default, 1 job deleted',
      'Killed 1 job waiting for a retry',
      'Deleted 2 dead jobs',
      'Retried 1 dead job',
      'Paused queue default',
    ];
    await shows(events.map((event) => `${event} ${BY}`));
    await until('it is there in Korean', async () =>
      /default 큐 일시 중지 · 운영자 127\.0\.0\.1/.test(await operator.read('/ops?locale=ko')),
    );
  });

  it('are carried out and shown while Redis is away', async () => {
    const dead = await shop.storeDead();
    const token = await operator.token();
    await shop.ops.redis.stop();
    const send = async (at: string, fields: Readonly<Record<string, string>> = {}) =>
      (await operator.send(at, { token, ...fields })).status;
    assert.equal(await send('/ops/jobs/queues/default/pause'), 303);
    assert.equal(await send('/ops/jobs/dead/action', { action: 'retry', id: `default/${dead}` }), 303);
    assert.deepEqual(await shop.deadIds(), []);
    await shows(['Retried 1 dead job', 'Paused queue default'].map((event) => `${event} ${BY}`));
  });
});
