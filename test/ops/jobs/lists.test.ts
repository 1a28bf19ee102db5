import assert from 'node:assert/strict';
import { until } from '../../support/until';
import type { Visitor } from '../visitor';
import { ShopPages } from './shop-pages';

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

const DEAD = '/ops/jobs/dead';

describe('lists of jobs', () => {
  let shop: ShopPages;
  let operator: Visitor;
  let dead: string[];
  before(async () => {
    shop = await ShopPages.start();
    ({ operator } = shop);
    dead = await shop.seed(60);
  });
  after(() => shop?.stop());

  const list = (query: string, name = 'dead') => operator.json<ListJson>(`/ops/jobs/${name}?${query}`);

  it('show dead jobs, newest first, with their arguments, errors and attempts', async () => {
    const { headings, rows, buttons, text } = await operator.view(DEAD);
    assert.equal(headings[0], 'Dead jobs');
    assert.match(text, /61 jobs died\. Kept for 180 days, then removed\./);
    const [, job, queue, error, attempts] = rows.find((row) => /SyncInvoiceJob/.test(row[1] ?? '')) ?? [];
    assert.match(job ?? '', /^SyncInvoiceJob billing invoice: "inv_\d+", amount: 129\d\d, token: filtered ,/);
    assert.deepEqual(
      [queue, error, attempts],
      ['default', 'BillingTimeout No answer from billing.example.com in 15 s', '1'],
    );
    assert.match(text, /SecretJob not shown/);
    assert.doesNotMatch((await operator.get(DEAD)).body, /tok_secret|ada@example|sesame/);
    assert.equal(buttons[0], 'All 61…');
    // With a filter, only the matching ones are offered.
    assert.equal((await operator.view(`${DEAD}?class=SecretJob`)).buttons[0], 'All 1…');
  });

  it('are paginated, and a page beyond the last shows the last', async () => {
    for (const [page, range] of Object.entries({ 1: '1–50', 2: '51–61', 99: '51–61' }))
      assert.ok((await operator.read(`${DEAD}?page=${page}`)).includes(`${range} of 61`));
    const [first, second] = [await list('page=1'), await list('page=2')];
    const ids = new Set([...first.jobs, ...second.jobs].map((job) => job.id));
    assert.deepEqual([first.jobs.length, first.total, ids.size], [50, 61, 61]);
    assert.ok(dead.every((id) => ids.has(id)));
  });

  it('can be filtered by text, class, queue, error, tag and time', async () => {
    const counts: [query: string, count: number, name?: string][] = [
      ['q=INV_7', 1],
      ['q=inv_1', 11],
      [`q=${dead[3]}`, 1],
      ['class=SecretJob', 1],
      ['queue=mailer', 0],
      ['error=billingtimeout', 60],
      ['tag=billing', 60],
      ['tag=bill', 0],
      ['when=hour', 61],
      ['tag=billing&q=inv_7&error=Timeout&queue=default&class=SyncInvoiceJob&when=day', 1],
      ['when=hour', 0, 'scheduled'],
      ['when=day', 1, 'scheduled'],
      ['q=4812', 1, 'retry'],
      // It has just failed; its retry may be due within a minute.
      ['failed=hour', 1, 'retry'],
      ['failed=hour&when=week&class=WelcomeMailJob', 1, 'retry'],
    ];
    for (const [query, count, name] of counts) assert.equal((await list(query, name)).total, count, query);
  });

  it('of retries can be filtered by the time of their failure, whenever they run next', async () => {
    const failedAgo = async (tag: string, hours: number) => {
      const [at, run] = [Date.now() - hours * 3_600_000, { attempt: 1, ms: 5, host: 'h', pid: 1 }];
      const args = ['"failures":[{"at":9999999999999}'];
      const errors = ['no', 'no'];
      const id = await shop.store('scheduled', { class: 'OldJob', args, tags: [tag], errors, at: Date.now() + 60_000 });
      const stacktraces = ['Error: no', 'Error: no'];
      const history = JSON.stringify({ stacktraces, failures: [at, 1].map((each) => ({ at: each, ...run })) });
      await shop.database.knex.raw('update job_queue set history = ? where id = ?', [history, id]);
      return id;
    };
    const ids = await Promise.all([failedAgo('recent', 0.5), failedAgo('today', 5), failedAgo('old', 30)]);
    const tags = async (query: string) =>
      (await list(`class=OldJob&${query}`, 'retry')).jobs.flatMap((job) => job.tags).sort();
    assert.deepEqual(await tags('failed=hour'), ['recent']);
    assert.deepEqual(await tags('failed=day'), ['recent', 'today']);
    assert.deepEqual(await tags('failed=week&q=Old'), ['old', 'recent', 'today']);
    const { headings } = await operator.view('/ops/jobs/retry/confirm?all=1&class=OldJob&failed=day&action=delete');
    assert.equal(headings[0], 'Delete 2 retries?');
    await shop.database.knex('job_queue').whereIn('id', ids).delete();
  });

  it('link to a class, whose page shows where its jobs are and what became of them', async () => {
    assert.equal((await operator.view(DEAD)).links.get('SyncInvoiceJob')?.startsWith('/ops/jobs/job/default/'), true);
    const filtered = await operator.get(`${DEAD}?class=SyncInvoiceJob`);
    assert.match(filtered.body, /href="\/ops\/jobs\/classes\/SyncInvoiceJob"/);
    const { headings, rows } = await operator.view('/ops/jobs/classes/WelcomeMailJob');
    assert.equal(headings[0], 'WelcomeMailJob');
    assert.deepEqual(rows.slice(0, 2), [
      ['Scheduled jobs', '1 job'],
      ['Retries', '1 job'],
    ]);
    const { links } = await operator.view('/ops/jobs/classes/SyncInvoiceJob');
    assert.equal(links.get('Dead jobs'), '/ops/jobs/dead?class=SyncInvoiceJob');
    await until('the running job is shown', async () =>
      /Running now 1 job/.test(await operator.read('/ops/jobs/classes/ImportRowsJob')),
    );
    assert.match(await operator.read('/ops/jobs/classes/UnknownJob', 404), /^This job class is not known/);
    await until('they are counted', async () => (await operator.view('/ops/jobs/classes')).links.has('SyncInvoiceJob'));
  });

  it('say how many jobs a filter hides', async () => {
    const { headings, text } = await operator.view(`${DEAD}?q=synkinvoice&queue=default`);
    assert.equal(headings[1], 'Nothing matches “synkinvoice” in default');
    assert.match(text, /61 dead jobs are hidden by these filters/);
    const { body } = await operator.get(`${DEAD}?q=inv_7`);
    assert.match(body, /name="q"[^>]* value="inv_7"/);
    for (const name of ['BillingTimeout', 'SyncInvoiceJob']) assert.ok(body.includes(`<option value="${name}">`));
  });

  it('as JSON have the same keys as the output of the commands', async () => {
    for (const place of 'dead retry scheduled queues queues/default busy cron classes'.split(' ')) {
      const { body } = await operator.get(`/ops/jobs/${place}`, { Accept: 'application/json' });
      assert.doesNotMatch(body, /"(?!orderId|accessToken)[a-z]+[A-Z]\w*":/, place);
    }
    const [job] = (await list('')).jobs;
    const keys =
      'id class queue set at enqueued_at attempts args args_redacted reason errors tags request_id locale attributes progress unreadable href';
    assert.deepEqual(Object.keys(job ?? {}), keys.split(' '));
  });

  it('can be sorted by their columns, in both directions', async () => {
    const first = async (sort: string) => (await list(`sort=${sort}`)).jobs[0];
    assert.equal((await first('class'))?.class, 'SecretJob');
    assert.equal((await first('-class'))?.class, 'SyncInvoiceJob');
    assert.equal((await first('-error'))?.errors[0]?.message, 'Error: no');
    assert.equal((await first('at'))?.id, (await list('page=2')).jobs.at(-1)?.id);
    const { body } = await operator.get(`${DEAD}?sort=class&q=inv`);
    assert.match(body, /aria-sort="ascending">\s*<a href="\/ops\/jobs\/dead\?sort=-class&amp;q=inv">Job/);
  });

  it('show retries and scheduled jobs', async () => {
    const [retry = []] = (await operator.view('/ops/jobs/retry')).rows;
    assert.deepEqual(retry.slice(1, 3), ['WelcomeMailJob 4812, "ko"', 'mailer']);
    assert.match(retry.join(' '), /TypeError mailbox of 4812 .* in [\d.]+ s/);
    const [scheduled = []] = (await operator.view('/ops/jobs/scheduled')).rows;
    assert.deepEqual([...scheduled.slice(1, 3), scheduled.at(-1)], ['WelcomeMailJob 4790, "en"', 'mailer', 'in 2 h']);
  });

  it('have counts beside their names', async () => {
    const counts = await until('the busy job is among them', async () => {
      const { body } = await operator.get('/ops/jobs/classes');
      const all = Object.fromEntries([...body.matchAll(/data-count="(\w+)">([^<]*)</g)].map((found) => found.slice(1)));
      return all.busy === '1' && all;
    });
    assert.deepEqual(counts, { queues: '0', busy: '1', scheduled: '1', retry: '1', dead: '61', cron: '2' });
  });

  it('reject invalid queries, and say what is wrong with them', async () => {
    const cases = {
      'There is no such page': ['page=0', 'page=-1', 'page=1e3', 'page=1&page=2'],
      'This list has no such order': ['sort=colour', 'sort=--class'],
      'That is not a queue name': ['queue=a%20b'],
      'That is not a time span': ['when=never'],
      'This address has a value twice': ['q=a&q=b'],
      'That cannot be searched for': [`q=${'x'.repeat(1001)}`, 'tag=a%00b'],
    };
    for (const [title, queries] of Object.entries(cases))
      for (const query of queries) {
        const { headings, text } = await operator.view(`${DEAD}?${query}`, 400);
        assert.deepEqual(headings, [title], query);
        assert.match(text, /Nothing was changed\./);
      }
    const problem = await operator.get(`${DEAD}?page=x`, { Accept: 'application/json' });
    assert.deepEqual([problem.status, problem.json().reason], [400, 'badQuery.page']);
    assert.match(await operator.read('/ops/jobs/scheduled?sort=error', 400), /no such order/);
    assert.match(await operator.read('/ops/jobs/classes?period=year', 400), /hour, day or all/);
  });

  it('are available in Korean', async () => {
    const { headings, text } = await operator.view(`${DEAD}?locale=ko`);
    assert.equal(headings[0], '죽은 작업');
    assert.match(text, /모두 61개/);
  });
});
