import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { CLI_COMMANDS } from '../../lib/cli/cli-commands';
import { helpOn } from '../../lib/cli/help';
import { commandUsage, TREE_COMMANDS } from '../../lib/cluster/control/commands';
import { NODE_RELEASES } from '../../lib/core/errors';
import { JOB_COMMANDS } from '../../lib/job/cli/commands';
import { asNode } from '../support/other-node';
import { tempFolder } from '../support/temp-folder';
import { catamount, runNode } from './cli-process';

describe('catamount', () => {
  const folder = tempFolder('cli');

  const all = (...lines: string[]) => Promise.all(lines.map((line) => catamount(folder, line.split(' '))));

  it('explains every command, also outside an app', async () => {
    for (const { code, stdout, stderr } of await all('help', '--help', '-h')) {
      assert.deepEqual([code, stderr], [0, '']);
      for (const command of TREE_COMMANDS) {
        assert.ok(stdout.includes(`\n  ${commandUsage(command).padEnd(18)} ${command.help}`), command.name);
        for (const signal of command.signals) assert.ok(stdout.includes(signal), signal);
      }
      for (const { help } of JOB_COMMANDS) assert.ok(stdout.includes(help), help);
      assert.ok(stdout.split('\n').every((line) => line.length <= 140));
    }
    const [jobs = assert.fail(), one = assert.fail()] = await all('jobs --help', 'jobs retry -h');
    assert.deepEqual([jobs.code, jobs.stderr, one.code, one.stderr], [0, '', 0, '']);
    for (const { help } of JOB_COMMANDS) assert.ok(jobs.stdout.includes(help), help);
    assert.match(one.stdout, /^Usage: catamount jobs retry ID… or --all \[options\]\n/);
  });

  it('has a help page for each command that it lists', async () => {
    const listed = (await catamount(folder, ['help'])).stdout.matchAll(/^ {2}((?:jobs )?[a-z][a-z-]*)(?: |$)/gm);
    const names = [...listed].map(([, name = '']) => name).filter((name) => name !== 'jobs');
    for (const { name } of [...CLI_COMMANDS, ...TREE_COMMANDS])
      assert.ok(names.includes(name) || name.startsWith('jobs '));
    const tellsItself = ['generate'];
    const listedNames = new Set([...names, ...TREE_COMMANDS.map(({ name }) => name), 'jobs']);
    const topics = [...listedNames].filter((name) => !tellsItself.includes(name));
    for (const topic of topics) {
      const text = helpOn(topic.split(' '));
      assert.match(text, new RegExp(`^Usage: catamount ${topic}`), topic);
      assert.ok(text.trim().split('\n').length >= 3, topic);
      assert.ok(
        text.split('\n').every((line) => line.length <= 140),
        topic,
      );
    }
    const [check = assert.fail(), same = assert.fail(), none = assert.fail()] = await all(
      'help check',
      'check --help',
      'help nothing',
    );
    for (const { code, stdout } of await all('help generate', 'generate --help')) {
      assert.equal(code, 0);
      assert.match(stdout, /^Usage: catamount generate/);
    }
    assert.equal(check.stdout, helpOn(['check']));
    const asked = { 'recycle 1 --help': 'recycle', 'start --nonsense -h': 'start', 'dev --build x --help': 'dev' };
    for (const [line, topic] of Object.entries(asked)) {
      const [told = assert.fail()] = await all(line);
      assert.deepEqual(told, { code: 0, stdout: helpOn([topic]), stderr: '' }, line);
    }
    assert.deepEqual(same, check);
    assert.deepEqual([none.code, none.stderr], [64, '"nothing" is not a command. See catamount help.\n']);
  });

  it('prints its version', async () => {
    const { version } = JSON.parse(fs.readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8'));
    for (const end of await all('version', '--version', '-v'))
      assert.deepEqual(end, { code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('exits with one sentence on a Node.js that is too old, through every entry point', async () => {
    const app = tempFolder('app');
    const door = JSON.stringify(path.resolve(__dirname, '../../dist/lib/index.js'));
    // As with an ES module on Node.js 18, where import.meta.dirname is undefined.
    fs.writeFileSync(path.join(app, 'tests.js'), `require(${door}).defineApp({ name: 'shop', root: undefined });`);
    const [oldest, minor] = NODE_RELEASES.oldest;
    for (const version of ['18.20.4', `${oldest}.${minor - 1}.9`]) {
      const node = asNode(version);
      const typed = ['new shop', 'generate job Greet', 'dev', 'jobs stats', 'start'];
      const ends = typed.map((line) => catamount(folder, line.split(' '), node));
      for (const { code, stdout, stderr } of await Promise.all([...ends, runNode(app, ['tests.js'], node)])) {
        assert.deepEqual([code, stdout], [78, ''], stderr);
        assert.equal(stderr, `This is Node.js ${version}; Catamount needs ${oldest}.${minor} or later: install it.\n`);
      }
    }
    assert.deepEqual(fs.readdirSync(folder), []);
    for (const version of [`${oldest}.${minor}.0`, `${oldest + 2}.0.0`, `${NODE_RELEASES.untested}.0.0`])
      assert.equal((await catamount(folder, ['version'], asNode(version))).code, 0);
    const { engines } = JSON.parse(fs.readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8'));
    assert.equal(engines.node, `>=${oldest}.${minor} <${NODE_RELEASES.untested}`);
  });

  it('exits with 64 on wrong usage', async () => {
    const cases = [
      ['stast', /^"stast" is not a command\. Did you mean start\? See catamount help\.\n$/],
      ['help doctro', /^"doctro" is not a command\. Did you mean doctor\? See/],
      ['deploy', /^"deploy" is not a command\. See/],
      ['jobs', /^jobs needs a command\. See catamount jobs --help\.\n$/],
      ['jobs loud', /^There is no command "jobs loud"/],
      ['jobs resume -S', /--state/],
      ['jobs resume default', /There is no dist\/server\.js, .* or server\.mjs/],
      ['jobs quiet default', /^jobs quiet is for the whole job processor.* For one queue: jobs pause default\.\n$/],
      [
        'stats --nonsense',
        /^stats has no option --nonsense; it has --state, --socket, --token, --only, --json\. See catamount help stats\.\n$/,
      ],
      ['stats --jsn', /^stats has no option --jsn\. Did you mean --json\? See catamount help stats\.\n$/],
      ['stats -S', /^--state of stats needs a value\. See catamount help stats\.\n$/],
      ['stats --json=yes', /^--json of stats takes no value, but was given "yes"\. See/],
      ['top now', /^Unexpected argument "now" for top\. See catamount help top\.\n$/],
      ['jobs quiet --frob', /^jobs quiet has no option --frob; .* See catamount help jobs quiet\.\n$/],
      [
        'new shop --javascrip',
        /^new has no option --javascrip\. Did you mean --javascript\? See catamount help new\.\n$/,
      ],
      ['dev now', /^Unexpected argument "now" for dev\. See catamount help dev\.\n$/],
      ['dev --only mail', /^--only of dev is "mail"; it must be web or jobs\. See catamount help dev\.\n$/],
      ['stats now', /stats takes no argument/],
      ['recycle', /recycle N needs the slot of a worker.*nothing was given/],
      ['recycle 1 2', /^Unexpected argument "2" for recycle\. See catamount help recycle\.\n$/],
      [
        'start',
        /^There is no dist\/server\.js, .* or server\.mjs in \S+\. Go to the folder of your app, or create one: catamount new shop\.\n$/,
      ],
    ] as const;
    const ends = await all(...cases.map(([line]) => line));
    for (const [index, [line, message]] of cases.entries()) {
      const { code, stdout, stderr } = ends[index] ?? assert.fail();
      assert.deepEqual([code, stdout], [64, ''], line);
      assert.match(stderr, message, line);
      assert.doesNotMatch(stderr, /\n {4}at /);
    }
  });

  it("passes the app's commands and their arguments to the app's entry file", async () => {
    const app = tempFolder('app');
    // The command exits with the entry file's own exit code.
    const code = 'console.log(JSON.stringify(process.argv.slice(1))); process.exitCode = 3;';
    fs.writeFileSync(path.join(app, 'server.js'), code);
    const entry = path.join(app, 'server.js');
    for (const args of [[], ['start', '--only', 'web'], ['migrate'], ['rollback']]) {
      const ended = await catamount(app, args);
      assert.equal(ended.code, 3);
      assert.deepEqual(JSON.parse(ended.stdout), [entry, ...args]);
    }
    fs.mkdirSync(path.join(app, 'dist'));
    fs.writeFileSync(path.join(app, 'dist/server.js'), "console.log('built')");
    assert.equal((await catamount(app, ['migrate'])).stdout, 'built\n');
  });
});
