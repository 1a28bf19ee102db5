import assert from 'node:assert/strict';
import { store, storeDead } from '../../job/sets/stored-job';
import { until } from '../../support/until';
import { SIGNED, tokenIn } from '../ops-web';
import { ShopStage } from './shop-stage';
import { OPERATOR, textOf, VIEWER, Visitor } from './visitor';

/** Runs a script, breaks out of its context or turns the words that follow it unless it is escaped. */
const EVIL = `"><img src=x onerror=alert(1)>'</title></pre><script>alert(2)</script><svg/onload=alert(3)>{{12345*67891}}<%= 12345*67891 %>\u202e`;

describe('jobs with hostile names, arguments, errors and tags', () => {
  let stage: ShopStage;
  let operator: Visitor;
  let viewer: Visitor;
  const paths: string[] = [];
  before(async () => {
    stage = await ShopStage.start(SIGNED);
    [operator, viewer] = await Promise.all([Visitor.signIn(stage.ops, OPERATOR), Visitor.signIn(stage.ops, VIEWER)]);
    const { knex } = stage.database;
    const hostile = {
      class: EVIL,
      args: [{ [EVIL]: EVIL }, EVIL],
      tags: [EVIL],
      requestId: EVIL,
      attributes: { [EVIL]: EVIL },
      errors: [`${EVIL}\nCaused by: ${EVIL}\n    at ${EVIL} (/x.js:1:1)`],
      reason: EVIL,
      progress: EVIL,
    };
    const unknown = await storeDead(knex, hostile);
    // The sample shop's own class, so that its arguments are shown.
    const own = { ...hostile, class: 'SyncInvoiceJob' };
    const shown = await storeDead(knex, own);
    const raw = await storeDead(knex, { payload: JSON.stringify(EVIL) });
    const retry = await store(knex, 'scheduled', { ...own, at: Date.now() + 3_600_000 });
    const waiting = await store(knex, 'ready', own);
    await stage.pause('default', EVIL);
    await store(knex, 'scheduled', { ...hostile, errors: [], at: Date.now() + 3_600_000 });
    await stage.ops.database.query(
      'insert into job_cron (name, class, spec, time_zone, catch_up) values ($1, $1, $2, $3, $4)',
      [EVIL, '* * * * *', 'UTC', 'once'],
    );
    const job = (name: string) => `/ops/jobs/job/default/${encodeURIComponent(name)}`;
    const query = encodeURIComponent(EVIL);
    paths.push(
      ...['dead', 'retry', 'scheduled', 'queues', 'queues/default', 'cron', 'busy', 'classes'].map(
        (name) => `/ops/jobs/${name}`,
      ),
      ...[unknown, shown, raw, retry, waiting].map(job),
      `${job(waiting)}/delete`,
      ...['q', 'class', 'error', 'tag'].map((name) => `/ops/jobs/dead?${name}=${query}`),
      `/ops/jobs/queues/default?q=${query}&class=${query}`,
      `/ops/jobs/find?q=${query}`,
      `/ops/jobs/dead/confirm?all=1&q=${encodeURIComponent('onerror')}`,
      `/ops/jobs/dead/confirm?action=delete&id=${encodeURIComponent(`default/${unknown}`)}`,
    );
  });
  after(() => stage?.stop());

  it('show them escaped, and run none of them', async () => {
    for (const path of paths) {
      const { body, status, headers } = await operator.get(path);
      assert.equal(status, 200, `${path}: ${textOf(body)}`);
      assert.doesNotMatch(body, /<img|<script>|<svg\/|onerror=alert\(1\)>'<|<i>"/, path);
      assert.match(String(headers['content-security-policy']), /default-src 'none'.*script-src 'self'/);
      assert.doesNotMatch(body, / style=/);
      assert.doesNotMatch(body.replaceAll(/ value="[^"]*"/g, ''), /\u202e/, path);
      assert.doesNotMatch(body, /838114395/, `${path} computes what it is given`);
    }
    assert.ok(textOf((await operator.get(paths[9] ?? '')).body).includes(EVIL.slice(2, 29)));
  });

  it('have texts for everything, in both languages', async () => {
    const asked = ['retry', 'scheduled', 'dead'].flatMap((list) =>
      ['retry', 'promote', 'reschedule', 'kill', 'delete'].map(
        (act) => `/ops/jobs/${list}/confirm?all=1&action=${act}`,
      ),
    );
    for (const path of [...paths, ...asked]) {
      for (const locale of ['en', 'ko']) {
        const { body, status } = await operator.get(`${path}${path.includes('?') ? '&' : '?'}locale=${locale}`);
        if (status !== 400)
          assert.doesNotMatch(body, /\b(jobs|pages|errors|time|nav)\.[a-z]\w*\.?\w*[<" ]/i, `${path} in ${locale}`);
      }
    }
  });

  it('escape them in error pages', async () => {
    for (const name of ['page', 'sort', 'queue', 'when']) {
      const { body, status } = await operator.get(`/ops/jobs/dead?${name}=${encodeURIComponent(EVIL)}`);
      assert.equal(status, 400);
      assert.doesNotMatch(body, /<img|<script>|<svg\//);
    }
    for (const path of [
      '/ops/jobs/%2e%2e/%2e%2e/etc/passwd',
      '/ops/jobs/job/..%2f..%2fx/y',
      '/ops/jobs/queues/..%2fdead',
    ]) {
      assert.equal((await operator.get(path)).status, 404, path);
    }
  });

  it('show them escaped to a viewer, too', async () => {
    for (const path of paths.filter((each) => !/find|confirm|delete/.test(each))) {
      const { body, status } = await viewer.get(path);
      assert.equal(status, 200, path);
      assert.doesNotMatch(body, /<img|<script>|<svg\//, path);
    }
  });
});

describe('pages of jobs while a server is unavailable', () => {
  let stage: ShopStage;
  let operator: Visitor;
  before(async () => {
    stage = await ShopStage.start(SIGNED);
    operator = await Visitor.signIn(stage.ops, OPERATOR);
  });
  after(() => stage?.stop());

  it('work without Redis, but for what processors report: that names Redis, shows the request id, and recovers', async () => {
    const waiting = await store(stage.database.knex, 'ready', { class: 'SyncInvoiceJob' });
    const retry = await store(stage.database.knex, 'scheduled', { class: 'SyncInvoiceJob', errors: ['no'] });
    const token = tokenIn((await operator.get('/ops/jobs/dead')).body);
    await stage.ops.redis.kill();
    await until('the pages notice', async () => {
      const { body, status } = await operator.get('/ops/jobs/busy');
      return status === 503 && body.includes('data-count="busy">–<');
    });
    for (const path of ['busy', 'classes'].map((name) => `/ops/jobs/${name}`)) {
      const { body, status, headers } = await operator.get(path);
      assert.equal(status, 503, path);
      assert.match(
        textOf(body),
        /^This page could not be loaded Redis does not answer\. Nothing was changed\. [A-Z]\w+ · [\w-]{36} · /,
      );
      assert.ok(body.includes(headers['x-request-id'] as string));
      assert.match(body, /data-count="busy">–</);
      assert.match(body, /data-count="retry">1</);
    }
    const json = await operator.get('/ops/jobs/busy.json');
    assert.deepEqual([json.status, json.json().reason], [503, 'away']);
    assert.match(
      await operator.read('/ops/jobs/queues'),
      /^Queues Redis does not answer, so the job processors are unknown here\. They still run jobs\. .* default 1 /,
    );
    assert.match(await operator.read('/ops/jobs/queues/default'), /^Queues default 1 job waits\..* SyncInvoiceJob /);
    assert.match(await operator.read(`/ops/jobs/job/default/${waiting}`), /^default SyncInvoiceJob waiting /);
    for (const [path, head] of [
      ['retry', /^Retries 1 job has failed/],
      ['scheduled', /^Scheduled jobs/],
      ['dead', /^Dead jobs/],
      ['cron', /^Cron 0 tasks/],
    ] as const)
      assert.match(await operator.read(`/ops/jobs/${path}`), head);
    const act = (path: string, fields: Readonly<Record<string, string>> = {}) =>
      operator.send(`/ops/jobs/${path}`, { token, ...fields });
    assert.equal((await act('retry/action', { action: 'retry', id: `default/${retry}` })).status, 303);
    assert.equal(await stage.waiting('default'), 2);
    assert.equal((await act('queues/default/pause')).status, 303);
    assert.match(await operator.read('/ops/jobs/queues/default'), /No job of this queue starts\./);
    // Twice would be once too often, and Redis remembers the first click.
    assert.equal((await act('queues/default/clear', { expected: '2' })).status, 503);
    assert.equal(await stage.waiting('default'), 2);
    await stage.ops.redis.start();
    await until('the pages have Redis again', async () => (await operator.get('/ops/jobs/busy')).status === 200);
  });
});
