import assert from 'node:assert/strict';
import type { ProcessorStatus, TreeStatus } from '../../../lib/cluster/status';
import { until } from '../../support/until';
import { cookiesOf, OpsWeb, SIGNED, tokenIn } from '../ops-web';
import { textOf, viewOf } from '../page-view';
import { PublishedTrees } from './published-trees';
import { processorOf, processorStatusOf, treeStatusOf, workerOf } from './tree-statuses';

const HOSTILE = `<img src=x onerror="alert(1)">'"</script><script>alert(2)</script>`;

interface Shown {
  readonly verdict: {
    readonly tone: string;
    readonly title: string;
    readonly issues: readonly { readonly head: string }[];
  };
  readonly level: string;
  readonly issues: readonly { readonly code: string }[];
  readonly trees:
    | readonly { readonly id: string; readonly name: string; readonly tone: string; readonly current: boolean }[]
    | null;
  readonly machine: {
    readonly name: string;
    readonly nodes: readonly { readonly id: string }[];
    readonly last_moves: readonly { readonly part: string; readonly moved_ms: number }[];
  } | null;
  readonly queues: readonly { readonly name: string; readonly size: number }[] | null;
}

describe('the overview', () => {
  let ops: OpsWeb;
  let trees: PublishedTrees;
  let operator: { Cookie: string };
  before(async () => {
    ops = await OpsWeb.start({ NODE_ENV: 'production', APP_URL: 'http://127.0.0.1', ...SIGNED });
    trees = new PublishedTrees(ops.redis);
    operator = { Cookie: await ops.signIn(SIGNED.OPS_PASSWORD) };
  });
  after(() => ops?.stop());

  const show = async (query = '') => (await ops.get(`/ops.json${query}`, operator)).json<unknown>() as Shown;
  /** Publishes statuses like other primaries, and waits until they are shown. */
  const publish = async (...statuses: readonly (readonly [status: TreeStatus, heartbeatAgeMs?: number])[]) => {
    await Promise.all(statuses.map((given) => trees.publish(...given)));
    await until('the trees are shown', async () => {
      const shown = (await show()).trees?.map(({ id }) => id) ?? [];
      return statuses.every(([{ id }]) => shown.includes(id));
    });
  };
  const retire = (id: string) => trees.retire(id);

  it('is available as a page, without inline scripts or styles, and as JSON', async () => {
    const { status, body, headers } = await ops.get('/ops', operator);
    assert.equal(status, 200);
    assert.match(body, /<h1 aria-live="polite"[^>]*>All is well<\/h1>/);
    assert.match(String(headers['content-security-policy']), /script-src 'self'/);
    assert.doesNotMatch(body, /\sstyle=|\son\w+=|<script>|javascript:/);
    const shown = await show();
    assert.deepEqual([shown.verdict.tone, shown.machine?.nodes[0]?.id, shown.trees], ['ok', 'primary', null]);
    assert.deepEqual([shown.level, shown.issues], ['ok', []]);
  });

  it("shows when each part of the tree's jobs last made progress, on the card and as JSON", async () => {
    const dispatch = { part: 'dispatch', movedMs: 41_500, owedMs: 0, cause: 'noAnswer', error: '' } as const;
    const lastStatus = { ...processorOf().lastStatus, progress: [dispatch] } as ProcessorStatus;
    const moving = treeStatusOf({ id: 'moving', jobs: processorOf({ lastStatus }) });
    await publish([moving]);
    const { machine } = await show('?tree=moving');
    assert.deepEqual(machine?.last_moves, [{ part: 'dispatch', moved_ms: 41_500 }]);
    const { body } = await ops.get('/ops?tree=moving', operator);
    assert.match(body, /<p class="moved"[^>]*>Last progress: due jobs 41.s ago<\/p>/);
    await trees.publish(moving, 20_000);
    const unheard = async () => (await ops.get('/ops?tree=moving', operator)).body;
    await until('outdated progress is no longer shown', async () =>
      /<p class="moved"[^>]*><\/p>/.test(await unheard()),
    );
    await retire('moving');
  });

  it('serves its scripts, including uPlot, as its own assets', async () => {
    const { body } = await ops.get('/ops', operator);
    const scripts = [...body.matchAll(/<script src="([^"]+)"/g)].map(([, src = '']) => src);
    assert.deepEqual(
      scripts.map((src) => /([\w.]+)\?/.exec(src)?.[1]),
      ['ops.js', 'parts.js', 'uPlot.iife.min.js', 'charts.js'],
    );
    for (const src of scripts) {
      const answer = await ops.get(src);
      assert.deepEqual([answer.status, /javascript/.test(String(answer.headers['content-type']))], [200, true], src);
    }
  });

  it('sends the numbers of the header to an open page', async () => {
    const stream = await ops.stream('/ops/events', operator);
    const counts = () =>
      [...stream.text().matchAll(/event: counts\ndata: (.*)\n/g)].map(([, data = '']) => JSON.parse(data));
    await until('the numbers have arrived', () => counts().at(-1)?.dead === '0');
    await ops.database.query(
      `insert into job_dead (id, queue, class, payload, error, attempts, tags, messages, search, died_at)
       values (gen_random_uuid(), 'default', '', '{}', '', 0, '{}', '', '', now() - interval '2 days')`,
    );
    await until('one more is dead', () => counts().at(-1)?.dead === '1');
    await ops.database.query('delete from job_dead');
    await until('it is gone', () => counts().at(-1)?.dead === '0');
    stream.close();
  });

  it("rejects commands without the form's token, and impossible ones", async () => {
    const lone = treeStatusOf({ id: 'lone', name: 'web.9', phasedRestart: true, stats: { workers: 1 } });
    await publish([treeStatusOf({ id: 'other' })], [lone]);
    const path = '/ops/processes/quiet?tree=other';
    assert.equal((await ops.post(path, { token: 'forged' }, operator)).status, 403);
    const page = await ops.get(path, operator);
    assert.match(page.body, /Quiet the jobs of web\.1\?/);
    const token = tokenIn(page.body);
    assert.equal((await ops.post(path, { token }, { ...operator, Origin: 'https://evil.example' })).status, 403);
    assert.deepEqual(await trees.commandsTo('other'), []);
    for (const wrong of [
      '/ops/processes/resume?tree=other',
      '/ops/processes/recycle?tree=other&slot=7',
      '/ops/processes/restart',
      '/ops/processes/restart?tree=lone',
      '/ops/processes/remove?tree=lone',
    ])
      assert.equal((await ops.post(wrong, { token }, operator)).status, 409, wrong);
    for (const missing of [
      '/ops/processes/recycle?tree=other',
      '/ops/processes/recycle?slot=x',
      '/ops/processes/quiet?tree=nobody',
    ])
      assert.equal((await ops.post(missing, { token }, operator)).status, 404, missing);
    await retire('lone');
  });

  it('queues a command for the right tree, and confirms it', async () => {
    const path = '/ops/processes/recycle?tree=other&slot=1';
    const token = tokenIn((await ops.get(path, operator)).body);
    const first = await ops.post(path, { token }, operator);
    assert.equal(first.status, 303);
    assert.match(String(first.headers.location), /^\/ops\?tree=other&flash=/);
    const commands = await trees.commandsTo('other');
    assert.deepEqual(
      commands.map((command) => ({ ...command, id: '' })),
      [{ id: '', command: 'recycle', argument: 1, by: 'pages:127.0.0.1' }],
    );
    const { body } = await ops.get(String(first.headers.location), operator);
    assert.match(body, /Worker 1 of web\.1 is being replaced\./);
    await retire('other');
  });

  it('shows every tree, an unresponsive one in grey, and answers 404 for an unknown one', async () => {
    await publish([treeStatusOf({ id: 'near', name: 'web.2' })], [treeStatusOf({ id: 'far', name: 'web.10' }), 12_000]);
    const shown = await show();
    assert.deepEqual(
      shown.trees?.slice(-2).map(({ name, tone }) => [name, tone]),
      [
        ['web.2', 'ok'],
        ['web.10', 'unknown'],
      ],
    );
    assert.deepEqual(
      shown.verdict.issues.map(({ head }) => head),
      ['Tree web.10 is unresponsive'],
    );
    assert.equal((await show('?tree=near')).machine?.name, 'web.2');
    const silent = await ops.get('/ops?tree=far', operator);
    assert.match(silent.body, /data-state="unknown" data-line="dashed"/);
    assert.equal((await ops.get('/ops/processes/restart?tree=far', operator)).status, 409);
    assert.equal((await ops.get('/ops?tree=nobody', operator)).status, 404);
    await Promise.all([retire('near'), retire('far')]);
  });

  it("counts no blocked worker among those that take requests, and tells why others failed in the reader's language", async () => {
    const reason = 'worker 0 cannot boot: it exited with code 1';
    const left = [{ class: 'GoneJob', reason: 'there is no job class GoneJob in this app', times: 3, spanMs: 5000 }];
    const begun = { what: 'GET /report', id: 'a-request', ageMs: 9500 };
    const stats = {
      workerStatus: [workerOf(0), workerOf(1, { heartbeatAgeMs: 9000, begun })],
      lastPhase: { phase: 1, completed: false, reason },
    };
    const jobs = processorOf({ lastStatus: processorStatusOf({ left }) });
    const at = new Date().toISOString();
    const ready = { at, name: 'worker.ready' as const, about: { slot: 0, pid: 77, durationMs: 5 } };
    const events = [ready, { at, name: 'phase.aborted' as const, about: { phase: 1, reason } }];
    await publish([treeStatusOf({ id: 'blocked', jobs, stats, events })]);
    const told = async (locale: string) =>
      viewOf((await ops.get(`/ops?tree=blocked&locale=${locale}`, operator)).body).text;
    const english = await told('en');
    assert.match(english, /1 of 2 workers take requests/);
    assert.match(english, /1 of 10 requests in flight/, 'it has begun one');
    assert.match(english, /sends to 1 of 2 workers/);
    assert.match(english, /side by side: worker 0 cannot boot: it exited/);
    assert.match(english, /GoneJob is left .*: there is no job class GoneJob in this app/);
    const korean = await told('ko');
    assert.match(korean, /단계 1 포기: 워커 0 시작 실패: 종료 코드 1/);
    assert.match(korean, /수 있습니다: 워커 0 시작 실패: 종료 코드 1/);
    assert.match(korean, /GoneJob 작업을 .*: 이 앱에 GoneJob 클래스가 없습니다/);
    assert.match(korean, /워커 0\(pid 77\) 준비됨, 5ms/);
    await retire('blocked');
    const progress = [{ part: 'mail', movedMs: null, owedMs: 20_000, cause: 'noAnswer', error: '' } as const];
    const stalled = processorOf({ lastStatus: processorStatusOf({ progress }) });
    await publish([treeStatusOf({ id: 'silent', jobs: processorOf({ heartbeatAgeMs: 9000 }) })]);
    await publish([treeStatusOf({ id: 'stalled', jobs: stalled })]);
    const { body } = await ops.get('/ops?tree=silent', operator);
    assert.match(body, /id="p-jobs" data-kind="jobs"\s+data-state="bad"/, 'as red as the line');
    const ofMail = (await ops.get('/ops?tree=stalled', operator)).body;
    assert.match(ofMail, /id="mail" data-state="bad"[^>]*>(?:(?!<\/li>)[\s\S])*class="phase">stands still</);
    await Promise.all([retire('silent'), retire('stalled')]);
  });

  it('escapes the names of trees, queues and events', async () => {
    const about = { command: HOSTILE, via: HOSTILE };
    const events = [{ at: new Date().toISOString(), name: 'operator.command' as const, about }];
    const treeStatus = treeStatusOf({
      id: 'evil',
      name: HOSTILE,
      host: HOSTILE,
      app: HOSTILE,
      address: HOSTILE,
      place: 'evil',
      events,
    });
    await publish([treeStatus]);
    await ops.database.query(
      `insert into job_queue (id, state, queue, class, payload, run_at)
       values (gen_random_uuid(), 'scheduled', $1, 'LaterJob', '{}', now() + interval '1 day')`,
      [HOSTILE],
    );
    await until('the queue is shown', async () => (await show()).queues?.some(({ name }) => name === HOSTILE));
    for (const path of [
      ...'/ops?tree=evil /ops /ops/processes/restart?tree=evil'.split(' '),
      ...'/ops?tree=evil&locale=ko'.split(' '),
    ]) {
      const { status, body } = await ops.get(path, operator);
      assert.equal(status, 200, path);
      assert.ok(!body.includes('<img src=x'), path);
      assert.ok(!body.includes('<script>alert'), path);
    }
    await Promise.all([retire('evil'), ops.database.query('truncate job_queue')]);
  });

  it('tolerates unreadable statuses and unknown parameters', async () => {
    for (const text of ['no JSON', '[]', '{"id":"odd"}', 'null', JSON.stringify({ ...treeStatusOf(), slots: null })]) {
      await trees.publish(treeStatusOf({ id: 'odd' }));
      await trees.write('odd', text);
      assert.equal((await ops.get('/ops', operator)).status, 200, text);
    }
    await retire('odd');
    for (const query of ['?range=1y', '?range=10m&range=1h', '?tree=', '?of=nothing', '?flash=x'])
      assert.equal((await ops.get(`/ops${query}`, operator)).status, 200, query);
  });

  it('sends the page, then only the lines that have changed', async () => {
    const stream = await ops.stream('/ops/events', operator);
    const messages = () =>
      [...stream.text().matchAll(/^event: parts\ndata: (.+)\n\n/gm)].map(
        ([, data = '']) => JSON.parse(data) as { lines?: string[]; changed?: [number, string][] },
      );
    await until('changes have arrived', () => messages().some(({ changed }) => changed !== undefined));
    stream.close();
    const [first] = messages();
    const { changed = [] } = messages().find((message) => message.changed) ?? {};
    assert.match(textOf(first?.lines?.join('\n') ?? ''), /^All is well/);
    assert.ok(first?.lines?.some((line) => line.includes('id="p-primary" data-kind="primary" data-state="ok"')));
    assert.ok(changed.length < 40 && !changed.some(([, line]) => line.includes('All is well')), String(changed));
  });

  it('reloads the page when the tree that it shows is gone', async () => {
    await publish([treeStatusOf({ id: 'short' })]);
    const { text, close } = await ops.stream('/ops/events?tree=short', operator);
    await until('the tree is shown', () => text().includes('p-worker-0'));
    await retire('short');
    await until('the page is told to reload', () => text().includes('event: reload'));
    close();
  });
});

describe('the overview without Postgres', () => {
  let ops: OpsWeb;
  before(async () => {
    ops = await OpsWeb.start({ DATABASE_URL: 'postgres://127.0.0.1:1/nothing' });
  });
  after(() => ops?.stop());

  it('says so, and shows everything else', async () => {
    // Redis has 1.5 s to answer, which a busy machine may need for rendering the first page.
    await until('Redis answers and Postgres does not', async () => {
      const { status, body } = await ops.get('/ops');
      assert.equal(status, 200);
      assert.match(body, /<h1[^>]*>Postgres does not answer<\/h1>/);
      assert.match(body, /id="postgres" data-state="bad"/);
      assert.match(body, /id="redis" data-state="ok"/);
      assert.match(body, /id="mail" data-state="unknown"/);
      assert.match(body, /Queues unknown.*They are in Postgres.*<code>ECONNREFUSED/s);
      return true;
    });
    assert.ok(cookiesOf(await ops.get('/ops')) !== '');
  });
});
