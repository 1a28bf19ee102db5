import assert from 'node:assert/strict';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { useShopPages } from './shop-pages';

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
  const shop = useShopPages();
  const operator = inSuite(undefined, () => shop.operator);
  let dead: string[];
  before(async () => {
    dead = await shop.seed(60);
  });

  const list = (query: string, name = 'dead') => operator.json<ListJson>(`/ops/jobs/${name}?${query}`);

  it('show dead jobs, newest first, with their arguments, errors and attempts', async () => {
    const { headings, rows, buttons, text } = await operator.view(DEAD);
    assert.equal(headings[0], 'Dead jobs');
    assert.equal((await operator.get('/ops/jobs')).headers.location, '/ops/jobs/queues');
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
    ];
    for (const [query, count, name] of counts) assert.equal((await list(query, name)).total, count, query);
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
    assert.match(await operator.read('/ops/jobs/classes/PruneSessionsJob'), /thread with a heap of at most 64 MB/);
    assert.doesNotMatch(await operator.read('/ops/jobs/classes/ImportRowsJob'), /thread/);
    assert.match(await operator.read('/ops/jobs/classes/UnknownJob', 404), /^This job class is not known/);
    await until('they are counted', async () => (await operator.view('/ops/jobs/classes')).links.has('SyncInvoiceJob'));
    const page = await operator.view('/ops/jobs/classes/SyncInvoiceJob');
    const [dead] = await shop.ops.database.query<{ id: string }>(
      `select id from job_dead where class = 'SyncInvoiceJob' order by died_at desc limit 1`,
    );
    assert.match(page.text, /Latest error .+ Runs by hour, 72 hours/);
    assert.ok(
      page.rows.some(([, outcome, , id]) => outcome === 'dead' && id === dead?.id),
      page.text,
    );
    assert.equal(page.links.get(dead?.id ?? ''), `/ops/search?q=${dead?.id}`);
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
    for (const place of 'dead retry scheduled queues queues/default busy cron batches classes'.split(' ')) {
      const { body } = await operator.get(`/ops/jobs/${place}`, { Accept: 'application/json' });
      assert.doesNotMatch(body, /"(?!orderId|accessToken)[a-z]+[A-Z]\w*":/, place);
    }
    const [job] = (await list('')).jobs;
    const keys =
      'id class queue set at enqueued_at expires_at priority attempts args args_redacted reason errors tags request_id locale attributes progress cancel_requested unreadable thread_mb href';
    assert.deepEqual(Object.keys(job ?? {}), keys.split(' '));
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
    assert.match(await operator.read('/ops/jobs/classes?period=year', 400), /hour, day, threeDays or all/);
  });
});
