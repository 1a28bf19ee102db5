import assert from 'node:assert/strict';
import type Koa from 'koa';
import { defineApp } from '../../../lib';
import { checkAdditions, type OpsAdditions } from '../../../lib/ops/ui/additions';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { cookiesOf, OpsWeb, SIGNED, tokenIn } from '../ops-web';

const PRODUCTION = { NODE_ENV: 'production', APP_URL: 'http://127.0.0.1' };

/** An app whose own sign-in is a header. */
const shop = (ops: OpsAdditions) =>
  defineApp({
    name: 'shop',
    root: __dirname,
    koa: (app: Koa) => {
      app.use((ctx, next) => {
        ctx.state.user = ctx.get('X-User');
        return next();
      });
    },
    ops,
  });

const PEOPLE = shop({
  authorize: async (ctx) => {
    const { user } = ctx.state;
    if (user === 'vic') return { name: 'vic@shop.example', role: 'viewer' };
    if (user === 'broken') throw new Error('the table of users is locked');
    if (user === 'nameless') return '';
    if (user === 'sent-away') ctx.redirect('/sign-in');
    return user === 'ada' ? 'ada@shop.example' : null;
  },
  tabs: [
    { title: 'Refunds', path: 'refunds', render: async () => '<h1>Refunds of today</h1>' },
    { title: 'Shop', href: '/' },
  ],
});

for (const [passwords, env] of [
  ['without OPS_USER', PRODUCTION],
  ['beside OPS_USER', { ...PRODUCTION, ...SIGNED }],
] as const)
  describe(`the operator's pages for the app's own users, ${passwords}`, () => {
    const ops = inSuite('stop', () => OpsWeb.start(env, PEOPLE));
    const as = (user: string) => ({ Authorization: '', 'X-User': user });

    /** Submits a form as that user's browser does, with the token of a page. */
    async function submit(user: string, path: string) {
      const page = await ops.get('/ops/jobs/queues', as(user));
      const headers = { ...as(user), Cookie: cookiesOf(page) };
      return ops.post(path, { token: tokenIn(page.body) }, headers);
    }

    it('open for an operator, who acts under the own name, which the audit keeps', async () => {
      const page = await ops.get('/ops', as('ada'));
      assert.equal(page.status, 200);
      assert.match(page.body, /ada@shop\.example/);
      assert.equal((await submit('ada', '/ops/jobs/queues/default/pause')).status, 303);
      const [name, payload] = ops.operated.at(-1) ?? [];
      assert.deepEqual(
        [name, payload],
        ['operator.queue', { action: 'pause', queue: 'default', jobs: 0, via: 'pages:ada@shop.example' }],
      );
      await until('it is in the audit', async () =>
        /Paused queue default \(requested by operator ada@shop\.example\)/.test(
          (await ops.get('/ops/audit', as('vic'))).body,
        ),
      );
    });

    it('show a viewer everything, and refuse what would change something', async () => {
      const page = await ops.get('/ops/jobs/queues', as('vic'));
      assert.match(page.body, /<body data-role="viewer"/);
      const before = ops.operated.length;
      const refused = await submit('vic', '/ops/jobs/queues/mailer/pause');
      assert.equal(refused.status, 403);
      assert.match(refused.body, /You may look, and change nothing/);
      assert.deepEqual(ops.operated.slice(before), []);
    });

    it('open for nobody else: neither a stranger nor one whose answer is an error', async () => {
      assert.doesNotMatch((await ops.get('/ops', as('eve'))).body, /data-live/);
      assert.equal((await ops.get('/ops/jobs/queues', as('eve'))).status, 404);
      assert.equal((await ops.get('/ops/jobs/queues.json', as('eve'))).status, 404);
      assert.equal((await ops.post('/ops/jobs/queues/mailer/pause', {}, as('eve'))).status, 404);
      for (const user of ['broken', 'nameless']) {
        const answer = await ops.get('/ops', as(user));
        assert.equal(answer.status, 500);
        assert.doesNotMatch(answer.body, /data-live/);
      }
      const messages = ops.errors.map(({ error }) => error.message);
      assert.match(messages[0] ?? '', /the table of users is locked/);
      assert.match(messages[1] ?? '', /ops\.authorize of defineApp returned "".*1 to 200 characters/);
    });

    it('leave it to the app to send a stranger to its own sign-in', async () => {
      const answer = await ops.get('/ops', as('sent-away'));
      assert.deepEqual([answer.status, answer.headers.location], [302, '/sign-in']);
    });

    it("want a form of the visitor's own page", async () => {
      const stolen = await ops.get('/ops/jobs/queues', as('ada'));
      const answer = await ops.post('/ops/jobs/queues/mailer/pause', { token: tokenIn(stolen.body) }, as('ada'));
      assert.equal(answer.status, 403);
    });

    it('have the tabs of the app, whose pages are as guarded as ours', async () => {
      const page = await ops.get('/ops/tabs/refunds', as('vic'));
      assert.match(page.body, /<h1>Refunds of today<\/h1>/);
      assert.match(page.body, /<a href="\/ops\/tabs\/refunds" aria-current="page">Refunds<\/a>/);
      assert.match(page.body, /<a href="\/">Shop<\/a>/);
      assert.equal((await ops.get('/ops/tabs/refunds', as('eve'))).status, 404);
      assert.equal((await ops.get('/ops/tabs/others', as('ada'))).status, 404);
    });
  });

describe("the app's additions to the operator's pages", () => {
  const mistakes: readonly (readonly [unknown, RegExp])[] = [
    ['yes', /ops is "yes"; give \{ authorize, tabs \}/],
    [{ authorise: () => 'ada' }, /ops\.authorise is a function; its options are authorize and tabs/],
    [{ authorize: 'ada' }, /ops\.authorize is "ada"; give a function/],
    [{ tabs: [{ title: 'Refunds' }] }, /ops\.tabs\[0\] is \{"title":"Refunds"\}; give href, or path and render/],
    [{ tabs: [{ title: ' ', href: '/' }] }, /ops\.tabs\[0\]\.title is " "/],
    [{ tabs: [{ title: 'x', href: 'javascript:alert(1)' }] }, /ops\.tabs\[0\]\.href is "javascript:alert\(1\)"/],
    [{ tabs: [{ title: 'x', path: '../mail', render: () => '' }] }, /ops\.tabs\[0\]\.path is "\.\.\/mail"/],
  ];
  for (const [given, sentence] of mistakes)
    it(`end the start when they are ${JSON.stringify(given)}`, () => {
      assert.throws(() => checkAdditions(given as OpsAdditions), sentence);
    });
});
