import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { usePostgres, useRedisServer } from '../../support/stores';
import type { Tree } from '../../support/tree';
import { until } from '../../support/until';
import { CLI } from '../cli-process';
import { DevApp } from './dev-app';

const routes = (word: string, head = '') => `${head}module.exports = (router) => {
  router.get('/word', (ctx) => { ctx.body = { word: ${JSON.stringify(word)}, pid: process.pid }; });
  router.post('/jobs', async (ctx) => {
    ctx.body = await SayJob.performLater();
  });
};`;

const SAYS = "const SayJob = require('./jobs/say');\n";

const job = (word: string) => `const { Job } = require('catamount');
module.exports = class SayJob extends Job {
  async perform() { console.log('the job says ${word}'); }
};`;

const APP = `const { defineApp } = require('catamount');
module.exports = defineApp({ name: 'devapp', root: __dirname, routes: async () => ({ default: require('./routes') }) });`;

const FILES = {
  'package.json': '{ "name": "devapp" }',
  '.gitignore': '/data/\n',
  'words.json': '{}',
  'server.js': "require('catamount').boot(require('./app'));",
  'app.js': APP,
  'routes.js': routes('one', SAYS),
  'jobs/say.js': job('one'),
};

const HTML = { headers: { Accept: 'text/html' } };

describe('catamount dev', () => {
  const database = usePostgres();
  const redis = useRedisServer();
  let app: DevApp;
  let tree: Tree;
  afterEach(() => app.remove());

  const start = (files: Readonly<Record<string, string>>, ...args: string[]) => {
    app = new DevApp(files);
    const env = { DATABASE_URL: database.url, REDIS_URL: redis.url, WEB_CONCURRENCY: '1' };
    tree = app.spawn(args, env);
    return tree.ready();
  };
  const word = async () => (await tree.request('GET', '/word')).json().word;
  const serves = (expected: string) => until(`it serves ${expected}`, async () => (await word()) === expected);

  it('reloads with a phased restart, restarts the processor when a job changes, reports errors in the log and the browser, and recovers', async () => {
    await start(FILES);
    assert.equal(await word(), 'one');

    app.write('routes.js', routes('two', SAYS));
    await serves('two');
    await tree.waitForLine(/phased restart to phase 1 completed/);

    let from = tree.lines.length;
    app.write('routes.js', 'module.exports = (router) => {{');
    await tree.waitForLine(/The new code does not boot: the old code keeps serving/, { from });
    assert.equal(await word(), 'two', 'other clients than browsers are served by the old code');
    const page = await tree.request('GET', '/word', HTML);
    assert.equal(page.status, 500);
    assert.match(page.body, /<h1>The new code does not boot<\/h1>[\s\S]*routes[\s\S]*Unexpected end of input/);

    from = tree.lines.length;
    app.write('routes.js', routes('three', SAYS));
    await serves('three');
    await until('a browser is served again', async () => (await tree.request('GET', '/word', HTML)).status === 200);
    await tree.waitForLine(/phased restart to phase 2 completed/, { from });
    // The job processor is replaced afterwards, by one that loads the jobs again.
    from = tree.lines.findIndex(({ text }) => /phased restart to phase 2 completed/.test(text));
    await tree.waitForLine(/job processor \(pid \d+\) is ready/, { from });

    from = tree.lines.length;
    app.write('jobs/say.js', 'module.exports = class SayJob { nothing() {} }');
    await tree.waitForLine(/The app has a mistake: the old code keeps serving/, { from });
    await tree.waitForLine(/jobs\/say\.js: SayJob is no subclass of Job/, { from });
    await tree.request('POST', '/jobs');
    await tree.waitForLine(/the job says one/, { from });

    from = tree.lines.length;
    app.write('jobs/say.js', job('two'));
    await tree.waitForLine(/job processor \(pid \d+\) is ready/, { from });
    await tree.request('POST', '/jobs');
    await tree.waitForLine(/the job says two/, { from });
    assert.equal(tree.linesMatching(/the job says one/).length, 1);

    from = tree.lines.length;
    app.write('test/word.test.js', 'nothing');
    app.write('node_modules/other/index.js', 'nothing');
    app.write('.hidden/a.js', 'nothing');
    app.write('data/a.js', 'nothing');
    app.write('jobs/say.js', job('two'));
    app.write('routes.js', routes('three', SAYS));
    app.write('routes.js', routes('four', SAYS));
    await serves('four');
    const told = tree.lines.slice(from).filter(({ text }) => / changed$/.test(text));
    assert.deepEqual(
      told.map(({ text }) => text),
      ['* routes.js changed'],
    );
  });

  it('builds first, reports a failed build, keeps the previous output, and ignores files that the build itself writes', async () => {
    const build = `const fs = require('node:fs');
const text = fs.readFileSync('src/routes.js', 'utf8');
fs.writeFileSync('src/stamp.json', JSON.stringify({ at: process.hrtime.bigint().toString() }));
fs.appendFileSync('.builds', 'x');
fs.rmSync('dist', { recursive: true, force: true });
if (text.includes('WRONG')) { console.error('src/routes.js: this is WRONG'); process.exit(1); }
fs.mkdirSync('dist');
for (const file of ['server.js', 'app.js']) fs.copyFileSync(file, 'dist/' + file);
fs.copyFileSync('src/routes.js', 'dist/routes.js');`;
    await start(
      {
        'package.json': '{ "name": "devapp", "scripts": { "build": "node build.js" } }',
        'build.js': build,
        'server.js': FILES['server.js'],
        'app.js': APP,
        'src/routes.js': routes('one'),
        'src/stamp.json': '{}',
      },
      '--only',
      'web',
    );
    assert.equal(await word(), 'one');
    await tree.waitForLine(/src\/stamp\.json is written by the build/);

    let from = tree.lines.length;
    app.write('src/routes.js', `${routes('two')} // WRONG`);
    await tree.waitForLine(/The build failed: the old code keeps serving/, { from });
    assert.match((await tree.request('GET', '/word', HTML)).body, /The build failed[\s\S]*this is WRONG/);
    assert.equal(await word(), 'one');
    assert.equal(app.read('dist/routes.js'), routes('one'), 'the previous output is still there');

    from = tree.lines.length;
    const before = app.read('.builds').length;
    app.write('src/routes.js', routes('three'));
    await serves('three');
    await tree.waitForLine(/src\/routes\.js changed/, { from });
    assert.equal(app.read('.builds').length, before + 1);
  });

  it('appends to the file that stdout is redirected to, as its tree does, so that neither overwrites the other', async () => {
    app = new DevApp(FILES);
    const file = path.join(app.folder, 'dev.log');
    const output = fs.openSync(file, 'w');
    const servers = { DATABASE_URL: database.url, REDIS_URL: redis.url };
    const dev = spawn(process.execPath, [CLI, 'dev'], {
      cwd: app.folder,
      stdio: ['ignore', output, output],
      env: { PATH: process.env.PATH, ...servers, WEB_CONCURRENCY: '1', PORT: '0' },
    });
    const exited = once(dev, 'exit');
    try {
      await until('it serves', () => /Listening on/.test(fs.readFileSync(file, 'utf8')));
      app.write('routes.js', 'module.exports = (router) => {{');
      await until('it reports the error', () => /until the next save/.test(fs.readFileSync(file, 'utf8')));
    } finally {
      dev.kill('SIGTERM');
      await exited;
      fs.closeSync(output);
    }
    const lines = fs.readFileSync(file, 'utf8').trim().split('\n');
    assert.match(JSON.parse(lines[0] ?? '').msg, /starts the app devapp/);
    for (const line of lines.filter((each) => each.startsWith('{'))) JSON.parse(line);
    const place = (words: RegExp) => lines.findIndex((line) => words.test(line));
    assert.ok(place(/Listening on/) < place(/^\* routes\.js changed$/), lines.join('\n'));
    assert.ok(place(/^\* routes\.js changed$/) < place(/^\* The new code does not boot/), lines.join('\n'));
    assert.match(lines.at(-1) ?? '', /"stopped in /);
  });

  it('waits for the next save when the app cannot start', async () => {
    app = new DevApp({ ...FILES, 'routes.js': 'module.exports = 7;' });
    tree = app.spawn([], { DATABASE_URL: database.url, REDIS_URL: redis.url, WEB_CONCURRENCY: '1' });
    await tree.waitForLine(/The app cannot start: nothing is serving until the next save/);
    app.write('routes.js', routes('one', SAYS));
    await tree.ready();
    assert.equal(await word(), 'one');

    const from = tree.lines.length;
    app.write('migrations/1_shops.js', 'exports.up = exports.down = async () => undefined;');
    await tree.waitForLine(/^migrated 1_shops$/, { from });
    await tree.waitForLine(/phased restart to phase 1 completed/, { from });
    fs.rmSync(path.join(app.folder, 'words.json'));
    await tree.waitForLine(/^\* words\.json changed$/, { from });
    await tree.waitForLine(/phased restart to phase 2 completed/, { from });
    // Its new name is known only to a new primary.
    app.write('app.js', APP.replace("'devapp'", "require('./name')"));
    await tree.waitForLine(/The app has a mistake: the old code keeps serving/, { from });
    app.write('name.js', "module.exports = 'renamed';");
    await tree.waitForLine(/starts the app renamed/, { from });
    await tree.waitForLine(/Listening on/, { from });
    assert.equal((await tree.stop('SIGTERM')).code, 0);
    await tree.allGone();
  });
});
