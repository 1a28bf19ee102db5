import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { createClient } from 'redis';
import { parse } from 'yaml';
import { catamount, runNode } from './cli/cli-process';
import { assignedTo } from './guide-blocks';
import { linkPackages, writeFiles } from './support/app-folder';
import { usePostgres, useRedisServer } from './support/stores';
import { inSuite } from './support/suite';
import { removeFolder, tempFolder } from './support/temp-folder';

const ROOT = path.resolve(__dirname, '..');
const block = (begins: string) => assignedTo('test/guide-examples.deep.ts', begins);

/** Files of an app that the examples of the command line assume, besides the guestbook. */
const TAKEN = {
  'models/user.js': `const { Model } = require('catamount');
exports.User = class User extends Model { static tableName = 'users'; };`,
  'mailers/reminder-mailer.js': `const { Mailer } = require('catamount');
exports.ReminderMailer = class ReminderMailer extends Mailer {
  static layout = false;
  static trialEnds = this.action('trialEnds');
  trialEnds(user, age) { return this.mail({ to: user.email, subject: age }); }
};`,
  'mailers/templates/reminder_mailer/trial_ends/text.ejs': 'It ends.',
  'jobs/greet.js': `const { Job } = require('catamount');
module.exports = class GreetJob extends Job { perform() {} };`,
  'migrations/20260102000000_create_users.js': `exports.up = async (knex) => {
  await knex.schema.createTable('users', (table) => {
    table.bigIncrements(); table.text('email'); table.text('plan'); table.timestamps(true, true);
  });
  await knex('users').insert([{ email: 'ada@example.com', plan: 'trial' }, { email: 'bob@example.com', plan: 'paid' }]);
};
exports.down = (knex) => knex.schema.dropTable('users');`,
};

/** Declarations that the examples of tests assume: a test runner, and a function of the app. */
const TEST_PRELUDE = `const assert = require('node:assert/strict');
const { after, afterEach, before, beforeEach, it } = require('node:test');
const { transaction } = require('catamount');
const Entry = require('../models/entry');
const ThankYouJob = require('../jobs/thank-you');
const sign = ({ email }) => transaction(async () => {
  const entry = await Entry.query().insert({ email, words: 'Hello' });
  await ThankYouJob.performLater(entry.id);
  return entry;
});
`;

describe('the examples of README and guides', () => {
  const database = usePostgres();
  const redis = useRedisServer();
  let app: string;
  const env = inSuite(undefined, () => ({
    DATABASE_URL: database.url,
    TEST_DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    COOKIE_KEY: 'a key',
  }));
  beforeEach(() => {
    app = tempFolder('guide');
    fs.cpSync(path.join(ROOT, 'test/fixtures/second-app'), app, { recursive: true });
    linkPackages(app);
    write(TAKEN);
  });
  afterEach(() => removeFolder(app));

  const write = (files: Readonly<Record<string, string>>) => writeFiles(app, files);

  /** Runs the body of an async function in the app. @returns what it has returned, through JSON. */
  async function inApp(body: string): Promise<unknown> {
    write({ 'in-app.js': `(async () => {\n${body}\n})().then((value) => console.log(JSON.stringify(value)));` });
    const { code, stdout, stderr } = await runNode(app, ['in-app.js'], env);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  }

  const migrated = async () => {
    const { code, stderr } = await catamount(app, ['migrate'], env);
    assert.equal(code, 0, stderr);
  };

  const waiting = async (queue: string) => {
    const client = createClient({ url: redis.url });
    await client.connect();
    try {
      return await client.lLen(`bq:${queue}:waiting`);
    } finally {
      client.destroy();
    }
  };

  it('the app of three files in the README serves requests, and limits its clients', async () => {
    const parts = block('// server.js').split(/^\/\/ (\S+\.js)\n/m);
    const files = Object.fromEntries(parts.flatMap((name, n) => (n % 2 === 1 ? [[name, parts[n + 1] ?? '']] : [])));
    assert.deepEqual(Object.keys(files), ['server.js', 'app.js', 'routes.js']);
    write(files);
    await migrated();
    const { code, stdout, stderr } = await runNode(app, ['server.js', 'check'], env);
    assert.equal(code, 0, stdout + stderr);
    const told = await inApp(`
      const { request, useTestDatabase } = require('catamount/testing');
      const app = require('./app');
      const database = await useTestDatabase({ app });
      await database.begin();
      const shop = request(app);
      const statuses = [];
      for (let n = 0; n < 11; n++)
        statuses.push((await shop.post('/entries', { json: { email: 'ada@example.com', words: 'Hi' } })).status);
      const entries = (await shop.get('/entries')).json();
      await database.rollBack();
      await database.close();
      return { statuses, entries: entries.length };`);
    assert.deepEqual(told, { statuses: [...Array(10).fill(200), 429], entries: 10 });
  });

  it('the tests of the guide pass, with the model and the routes of the guide', async () => {
    write({ 'models/entry.js': block('// models/entry.js'), 'routes.js': block('// routes.js') });
    const parts = [TEST_PRELUDE, block('const { assertEnqueued'), block('const shop = request(app);')];
    write({ 'test/guestbook.test.js': parts.join('\n') });
    const { stdout, stderr } = await runNode(app, ['--test', '--test-reporter=tap'], env);
    assert.match(stdout, /^# pass 2$/m, stdout + stderr);
    assert.match(stdout, /^# fail 0$/m);
  });

  it("an app's own Koa keeps its middleware", async () => {
    const routes = "module.exports = (router) => router.get('/hours', (ctx) => { ctx.body = '9 to 5'; });";
    write({ 'app.js': block('// app.js'), 'routes.js': routes });
    const served = await inApp(`
      const { request } = require('catamount/testing');
      return (await request(require('./app')).get('/hours')).headers['x-served-by'];`);
    assert.equal(served, 'shop');
  });

  it('an app can have its own headers, probes and error pages', async () => {
    write({
      'app.js': block("const { defineApp } = require('catamount');"),
      'locales/de.json': block('{ "catamount"'),
    });
    const told = (await inApp(`
      const { request } = require('catamount/testing');
      const shop = request(require('./app'));
      const { status, headers } = await shop.get('/livez');
      const before = (await shop.get('/health')).status;
      const page = await shop.get('/nothing', { headers: { Accept: 'text/html', 'Accept-Language': 'de' } });
      return { status, before, policy: headers['content-security-policy'], page: page.text };`)) as {
      readonly [name: string]: unknown;
    };
    assert.deepEqual([told.status, told.before], [200, 404]);
    assert.match(String(told.policy), /img-src 'self' https:\/\/images\.example/);
    assert.match(String(told.page), /Hier ist nichts/);
  });

  it('the script enqueues a reminder for the right users', async () => {
    write({ 'scripts/remind.js': block('// scripts/remind.js') });
    await migrated();
    const { code, stderr } = await catamount(app, ['run', 'scripts/remind.js', '7d'], env);
    assert.equal(code, 0, stderr);
    assert.equal(await waiting('mailer'), 1);
  });

  it('another program enqueues a job', async () => {
    await inApp(`${block("const { connect } = require('catamount');")}\nawait greet('7');\nreturn null;`);
    assert.equal(await waiting('default'), 1);
  });

  it('the generators accept the commands of the guide', async () => {
    const lines = block('npx catamount generate job').trim().split('\n');
    for (const line of lines) {
      const { code, stderr } = await catamount(app, line.replace('npx catamount ', '').split(' '), env);
      assert.equal(code, 0, `${line}: ${stderr}`);
    }
    for (const name of ['jobs/welcome-email.js', 'mailers/user-mailer.js', 'models/post.js'])
      assert.ok(fs.existsSync(path.join(app, name)), name);
  });

  it('the scrape config of Prometheus has the path of the metrics', () => {
    const [job] = (parse(block('scrape_configs:')) as { readonly scrape_configs: readonly Record<string, unknown>[] })
      .scrape_configs;
    assert.deepEqual([job?.scheme, job?.metrics_path], ['https', '/ops/metrics']);
  });
});
