import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { payloadText, store, storeDead } from '../../job/sets/stored-job';
import { until } from '../../support/until';
import { SIGNED } from '../ops-web';
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
    const { client } = stage.redis;
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
    const id = `<i>"${randomUUID().slice(0, 8)}`;
    await storeDead(stage.database.knex, { ...hostile, id });
    // The sample shop's own class, so that its arguments are shown.
    const shown = await storeDead(stage.database.knex, { ...hostile, class: 'SyncInvoiceJob' });
    const raw = await storeDead(stage.database.knex, { text: EVIL });
    const retry = await store(client, 'delayed', { ...hostile, class: 'SyncInvoiceJob', at: Date.now() + 3_600_000 });
    const waiting = await store(client, 'waiting', { ...hostile, class: 'SyncInvoiceJob' });
    await client.set('bq:default:paused', `${Date.now()} ${EVIL}`);
    await stage.ops.database.query(
      'insert into job_outbox (id, queue, class, payload, run_at) values ($1, $2, $3, $4, $5)',
      [randomUUID(), 'default', EVIL, payloadText(hostile), new Date(Date.now() + 3_600_000)],
    );
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
      ...[id, shown, raw, retry, waiting].map(job),
      `${job(waiting)}/delete`,
      ...['q', 'class', 'error', 'tag'].map((name) => `/ops/jobs/dead?${name}=${query}`),
      `/ops/jobs/queues/default?q=${query}&class=${query}`,
      `/ops/jobs/find?q=${query}`,
      `/ops/jobs/dead/confirm?all=1&q=${encodeURIComponent('onerror')}`,
      `/ops/jobs/dead/confirm?action=delete&id=${encodeURIComponent(`default/${id}`)}`,
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

  it('name Redis, say that nothing was changed, show the request id, and recover by themselves', async () => {
    const token = /name="token" value="([^"]+)"/.exec((await operator.get('/ops/jobs/dead')).body)?.[1] ?? '';
    await stage.ops.redis.kill();
    await until('the pages notice', async () => {
      const { body, status } = await operator.get('/ops/jobs/retry');
      return status === 503 && body.includes('data-count="retry">–<');
    });
    for (const path of ['retry', 'queues/default', 'busy', 'classes', 'job/default/x'].map(
      (name) => `/ops/jobs/${name}`,
    )) {
      const { body, status, headers } = await operator.get(path);
      assert.equal(status, 503, path);
      assert.match(
        textOf(body),
        /^This page could not be loaded Redis does not answer\. Nothing was changed\. [A-Z]\w+ · [\w-]{36} · /,
      );
      assert.ok(body.includes(headers['x-request-id'] as string));
      assert.match(body, /data-count="retry">–</);
    }
    const act = await operator.send('/ops/jobs/retry/action', { token, action: 'retry', id: 'default/x' });
    assert.equal(act.status, 503);
    const json = await operator.get('/ops/jobs/retry.json');
    assert.deepEqual([json.status, json.json().reason], [503, 'away']);
    // Recurring and dead jobs are only in Postgres.
    assert.match(await operator.read('/ops/jobs/dead'), /^Dead jobs/);
    assert.match(await operator.read('/ops/jobs/cron'), /^Cron 0 tasks/);
    await stage.ops.redis.start();
    await until('the pages have Redis again', async () => (await operator.get('/ops/jobs/retry')).status === 200);
  });

  it('say what is unknown without the tables in Postgres, and show what Redis knows', async () => {
    await stage.ops.database.query('alter table job_outbox rename to job_outbox_away');
    await stage.ops.database.query('alter table job_cron rename to job_cron_away');
    try {
      assert.match(await operator.read('/ops/jobs/retry'), /^Retries/);
      assert.match(
        await operator.read('/ops/jobs/queues'),
        /Cron Postgres does not answer, so the tasks are unknown\./,
      );
      assert.equal((await operator.get('/ops/jobs/scheduled')).status, 503);
    } finally {
      await stage.ops.database.query('alter table job_outbox_away rename to job_outbox');
      await stage.ops.database.query('alter table job_cron_away rename to job_cron');
    }
  });
});
