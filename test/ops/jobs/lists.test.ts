import assert from 'node:assert/strict';
import { store } from '../../job/sets/stored-job';
import { until } from '../../support/until';
import { SIGNED } from '../ops-web';
import { seed } from './shop-seeds';
import { ShopStage } from './shop-stage';
import { OPERATOR, textOf, VIEWER, Visitor } from './visitor';

interface ListJson {
  readonly jobs: readonly {
    readonly id: string;
    readonly class: string;
    readonly args: unknown;
    readonly tags: readonly string[];
    readonly errors: readonly { readonly name: string; readonly message: string | null }[];
  }[];
  readonly total: number;
}

describe('lists of jobs', () => {
  let stage: ShopStage;
  let operator: Visitor;
  let viewer: Visitor;
  let dead: string[];
  before(async () => {
    stage = await ShopStage.start(SIGNED);
    [operator, viewer] = await Promise.all([Visitor.signIn(stage.ops, OPERATOR), Visitor.signIn(stage.ops, VIEWER)]);
    dead = await seed(stage, 60);
  });
  after(() => stage?.stop());

  it('show dead jobs, newest first, with their arguments, errors and attempts', async () => {
    const text = await operator.read('/ops/jobs/dead');
    assert.match(text, /^Dead jobs 61 jobs died\. Kept for 180 days, then removed\./);
    assert.match(text, /SyncInvoiceJob billing invoice: "inv_\d+", amount: 129\d\d, token: filtered , email: filtered/);
    assert.match(text, /BillingTimeout No answer from billing\.example\.com in 15 s 1 (now|\d+ s ago)/);
    assert.match(text, /SecretJob not shown/);
    assert.doesNotMatch((await operator.get('/ops/jobs/dead')).body, /tok_secret|ada@example|sesame/);
    const { jobs, total } = await operator.json<ListJson>('/ops/jobs/dead');
    assert.deepEqual([jobs.length, total], [50, 61]);
  });

  it('are paginated, and a page beyond the last shows the last', async () => {
    assert.match(await operator.read('/ops/jobs/dead'), /1–50 of 61 Newer Older$/);
    assert.match(await operator.read('/ops/jobs/dead?page=2'), /51–61 of 61 Newer Older$/);
    assert.match(await operator.read('/ops/jobs/dead?page=99'), /51–61 of 61/);
    const [first, second] = await Promise.all(
      [1, 2].map((page) => operator.json<ListJson>(`/ops/jobs/dead?page=${page}`)),
    );
    const ids = [...(first?.jobs ?? []), ...(second?.jobs ?? [])].map((job) => job.id);
    assert.equal(new Set(ids).size, 61);
    assert.deepEqual(
      dead.filter((id) => !ids.includes(id)),
      [],
    );
  });

  it('can be filtered by text, class, queue, error, tag and time', async () => {
    const count = async (query: string, list = 'dead') =>
      (await operator.json<ListJson>(`/ops/jobs/${list}?${query}`)).total;
    assert.equal(await count('q=INV_7'), 1);
    assert.equal(await count('q=inv_1'), 11);
    assert.equal(await count(`q=${dead[3]}`), 1);
    assert.equal(await count('class=SecretJob'), 1);
    assert.equal(await count('queue=mailer'), 0);
    assert.equal(await count('error=billingtimeout'), 60);
    assert.equal(await count('tag=billing'), 60);
    assert.equal(await count('tag=bill'), 0);
    assert.equal(await count('when=hour'), 61);
    assert.equal(await count('tag=billing&q=inv_7&error=Timeout&queue=default&class=SyncInvoiceJob&when=day'), 1);
    assert.equal(await count('when=hour', 'scheduled'), 0);
    assert.equal(await count('when=day', 'scheduled'), 1);
    assert.equal(await count('q=4812', 'retry'), 1);
    // It has just failed; its retry may be due within a minute.
    assert.equal(await count('failed=hour', 'retry'), 1);
    assert.equal(await count('failed=hour&when=week&class=WelcomeMailJob', 'retry'), 1);
  });

  it('of retries can be filtered by the time of their failure, whenever they run next', async () => {
    const { knex } = stage.database;
    const failedAgo = async (tag: string, hours: number) => {
      const [at, run] = [Date.now() - hours * 3_600_000, { attempt: 1, ms: 5, host: 'h', pid: 1 }];
      const failures = [
        { at, ...run },
        { at: 1, ...run },
      ];
      const args = ['"failures":[{"at":9999999999999}'];
      const job = { class: 'OldJob', args, tags: [tag], errors: ['no', 'no'], at: Date.now() + 60_000 };
      const id = await store(knex, 'scheduled', job);
      const history = JSON.stringify({ stacktraces: ['Error: no', 'Error: no'], failures });
      await knex.raw('update job_queue set history = ? where id = ?', [history, id]);
    };
    await Promise.all([failedAgo('recent', 0.5), failedAgo('today', 5), failedAgo('old', 30)]);
    const tags = async (query: string) =>
      (await operator.json<ListJson>(`/ops/jobs/retry?class=OldJob&${query}`)).jobs.flatMap(({ tags }) => tags).sort();
    assert.deepEqual(await tags('failed=hour'), ['recent']);
    assert.deepEqual(await tags('failed=day'), ['recent', 'today']);
    assert.deepEqual(await tags('failed=week&q=Old'), ['old', 'recent', 'today']);
    const { body } = await operator.get('/ops/jobs/retry?class=OldJob&failed=day');
    assert.match(textOf(body), /Class: OldJob Failed: Last day/);
    const all = await operator.read('/ops/jobs/retry/confirm?all=1&class=OldJob&failed=day&action=delete');
    assert.match(all, /^Delete 2 retries\?/);
    const fields = { all: '1', class: 'OldJob', action: 'delete', confirmed: '1', expected: '3' };
    await operator.act('/ops/jobs/retry/action', fields);
  });

  it('offer to select all of their jobs above the first row', async () => {
    const text = await operator.read('/ops/jobs/dead');
    assert.match(text, /^Dead jobs 61 jobs died\. .* removed\. All 61… Search/);
    // With a filter, only the matching ones are offered.
    assert.match(await operator.read('/ops/jobs/dead?class=SecretJob'), / All 1… Search/);
  });

  it('link to a class, whose page shows where its jobs are and what became of them', async () => {
    const text = await operator.read('/ops/jobs/classes/WelcomeMailJob');
    assert.match(text, /^Job classes WelcomeMailJob Where its jobs are Scheduled jobs 1 job Retries 1 job What became/);
    const { body } = await operator.get('/ops/jobs/classes/SyncInvoiceJob');
    assert.match(body, /href="\/ops\/jobs\/dead\?class=SyncInvoiceJob">Dead jobs/);
    assert.match(textOf(body), /Last hour \d+ \d+/);
    await until('the running job is shown', async () => {
      return /Running now 1 job/.test(await operator.read('/ops/jobs/classes/ImportRowsJob'));
    });
    assert.match(await operator.read('/ops/jobs/classes/NobodysJob', 404), /^This job class is not known/);
    const classes = await until('they are counted', async () => {
      const { body: list } = await operator.get('/ops/jobs/classes');
      return list.includes('SyncInvoiceJob') && list;
    });
    assert.match(classes, /href="\/ops\/jobs\/classes\/SyncInvoiceJob"/);
    assert.match(
      (await operator.get('/ops/jobs/dead?class=SyncInvoiceJob')).body,
      /href="\/ops\/jobs\/classes\/SyncInvoiceJob"/,
    );
  });

  it('say how many jobs a filter hides, and suggest what was meant', async () => {
    const text = await operator.read('/ops/jobs/dead?q=synkinvoice&queue=default');
    assert.match(text, /Queue: default Clear all Nothing matches “synkinvoice” in default/);
    assert.match(text, /61 dead jobs are hidden by these filters\. Did you mean SyncInvoice \?/);
    const { body } = await operator.get('/ops/jobs/dead?q=inv_7');
    assert.match(body, /name="q"[^>]* value="inv_7"/);
    assert.match(body, /<option value="BillingTimeout">/);
    assert.match(body, /<option value="SyncInvoiceJob">/);
  });

  it('as JSON have the same keys as the output of the commands', async () => {
    const places = ['dead', 'retry', 'scheduled', 'queues', 'queues/default', 'busy', 'cron', 'classes'];
    for (const place of places) {
      const { body } = await operator.get(`/ops/jobs/${place}`, { Accept: 'application/json' });
      const keys = [...body.matchAll(/"(\w+)":/g)].map(([, key = '']) => key);
      assert.deepEqual(
        keys.filter((key) => /^[a-z]+[A-Z]/.test(key) && !/^(orderId|accessToken)$/.test(key)),
        [],
        place,
      );
    }
    const [job] = (await operator.json<{ jobs: object[] }>('/ops/jobs/dead')).jobs;
    const keys = 'id class queue set at enqueued_at attempts args args_redacted reason errors tags request_id locale';
    assert.deepEqual(Object.keys(job ?? {}), [...keys.split(' '), 'attributes', 'progress', 'unreadable', 'href']);
  });

  it('can be sorted by their columns, in both directions', async () => {
    const first = async (sort: string) => (await operator.json<ListJson>(`/ops/jobs/dead?sort=${sort}`)).jobs[0];
    assert.equal((await first('class'))?.class, 'SecretJob');
    assert.equal((await first('-class'))?.class, 'SyncInvoiceJob');
    assert.equal((await first('-error'))?.errors[0]?.message, 'Error: no');
    const [oldest] = (await operator.json<ListJson>('/ops/jobs/dead?sort=at')).jobs;
    const newest = await operator.json<ListJson>('/ops/jobs/dead?page=2');
    assert.equal(oldest?.id, newest.jobs.at(-1)?.id);
    const { body } = await operator.get('/ops/jobs/dead?sort=class&q=inv');
    assert.match(body, /aria-sort="ascending">\s*<a href="\/ops\/jobs\/dead\?sort=-class&amp;q=inv">Job/);
  });

  it('show retries and scheduled jobs', async () => {
    const retries = await operator.read('/ops/jobs/retry');
    assert.match(retries, /^Retries 1 job has failed and will run again by itself\./);
    assert.match(retries, /WelcomeMailJob 4812, "ko" mailer TypeError mailbox of 4812 .*in [\d.]+ s/);
    const scheduled = await operator.read('/ops/jobs/scheduled');
    assert.match(scheduled, /^Scheduled jobs 1 job waits for its time\..*WelcomeMailJob 4790, "en" mailer .* in 2 h/);
  });

  it('have counts beside their names', async () => {
    const counts = await until('the busy job is among them', async () => {
      const { body } = await operator.get('/ops/jobs/classes');
      const found = [...body.matchAll(/data-count="(\w+)">([^<]*)</g)].map(([, name, text]) => [name, text]);
      const all = Object.fromEntries(found) as Record<string, string>;
      return all.busy === '1' && all;
    });
    assert.deepEqual(counts, {
      queues: '0',
      busy: '1',
      scheduled: '1',
      retry: '1',
      dead: '61',
      cron: '2',
    });
  });

  it('reject invalid queries, and say what is wrong with them', async () => {
    const cases = [
      ['page=0', 'There is no such page'],
      ['page=-1', 'There is no such page'],
      ['page=1e3', 'There is no such page'],
      ['page=1&page=2', 'There is no such page'],
      ['sort=colour', 'This list has no such order'],
      ['sort=--class', 'This list has no such order'],
      ['queue=a%20b', 'That is not a queue name'],
      ['when=never', 'That is not a time span'],
      ['q=a&q=b', 'This address has a value twice'],
      [`q=${'x'.repeat(1001)}`, 'That cannot be searched for'],
      ['tag=a%00b', 'That cannot be searched for'],
    ];
    for (const [query = '', title = ''] of cases) {
      const text = await operator.read(`/ops/jobs/dead?${query}`, 400);
      assert.ok(text.startsWith(title), `${query}: ${text}`);
      assert.match(text, /Nothing was changed\. 400 · [\w-]{36} · /);
    }
    const problem = await operator.get('/ops/jobs/dead?page=x', { Accept: 'application/json' });
    assert.deepEqual([problem.status, problem.json().reason], [400, 'badQuery.page']);
    assert.match(await operator.read('/ops/jobs/scheduled?sort=error', 400), /no such order/);
    assert.match(await operator.read('/ops/jobs/classes?period=year', 400), /hour, day or all/);
  });

  it('hide arguments and messages from a viewer, who can neither act on jobs nor search for such values', async () => {
    for (const path of ['/ops/jobs/dead', '/ops/jobs/retry', '/ops/jobs/scheduled', '/ops/jobs/queues/mailer']) {
      const { body, status } = await viewer.get(path);
      assert.equal(status, 200);
      // Ids and tokens are random and may contain the same digits by chance.
      const text = body.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|value="[\w-]{20,}"/g, '');
      const told =
        /.{0,80}(inv_|4812|4790|mailbox|No answer|type="checkbox"|name="q"|method="post" action="\/ops\/jobs).{0,40}/;
      assert.equal(told.exec(text)?.[0], undefined, path);
    }
    assert.match(await viewer.read('/ops/jobs/dead'), /SyncInvoiceJob billing hidden .* BillingTimeout hidden/);
    const all = (query: string) => viewer.json<ListJson>(`/ops/jobs/dead?${query}`);
    assert.equal((await all('q=inv_7')).total, 61);
    assert.equal((await all('error=example')).total, 61);
    assert.equal((await all('error=BillingTimeout')).total, 60);
    assert.deepEqual((await all('')).jobs[0]?.args, null);
    for (const path of ['/ops/jobs/find?q=inv_7', '/ops/jobs/dead/confirm?all=1', '/ops/jobs/queues/default/clear']) {
      assert.match(await viewer.read(path, 403), /^Viewers cannot make changes/);
    }
  });

  it('are available in Korean', async () => {
    const { body } = await operator.get('/ops/jobs/dead?locale=ko');
    assert.match(textOf(body), /^죽은 작업 모두 61개입니다\./);
    assert.doesNotMatch(body, /jobs\.\w+\.|nav\.\w+/);
  });
});
