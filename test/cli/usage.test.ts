import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { COMMANDS, usageOf } from '../../lib/control/commands';
import { tempFolder } from '../support/temp-folder';
import { catamount } from './cli-process';

describe('catamount', () => {
  const folder = tempFolder('cli');

  it('explains every command', async () => {
    const ends = await Promise.all(
      [['help'], ['--help'], ['-h'], ['stats', '--help']].map((args) => catamount(folder, args)),
    );
    for (const { code, stdout, stderr } of ends) {
      assert.deepEqual([code, stderr], [0, '']);
      for (const command of COMMANDS) {
        assert.ok(stdout.includes(`\n  ${usageOf(command).padEnd(18)} ${command.help}`), command.name);
        for (const signal of command.signals) assert.ok(stdout.includes(signal), signal);
      }
      assert.ok(stdout.split('\n').every((line) => line.length <= 140));
    }
  });

  it('prints its version', async () => {
    const { version } = JSON.parse(fs.readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8'));
    for (const args of [['version'], ['--version'], ['-v']])
      assert.deepEqual(await catamount(folder, args), { code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('ends wrong usage with 64', async () => {
    for (const [line, message] of [
      ['stast', /^"stast" is no command\. See catamount help\.\n$/],
      ['jobs', /^jobs needs a command\. See catamount jobs --help\.\n$/],
      ['jobs loud', /^"jobs loud" is no command/],
      ['jobs resume -S', /--state/],
      ['jobs list dead', /There is no dist\/server\.js or server\.js/],
      ['stats --nonsense', /--nonsense/],
      ['stats -S', /--state/],
      ['stats now', /stats takes no argument/],
      ['heap-snapshot', /heap-snapshot N needs the slot of a worker.*nothing was given/],
      ['heap-snapshot one', /"one" is none/],
      ['heap-snapshot 1 2', /"2" is too much/],
      ['start', /There is no dist\/server\.js or server\.js/],
      ['--only web', /There is no dist\/server\.js/],
    ] as const) {
      const { code, stdout, stderr } = await catamount(folder, line.split(' '));
      assert.deepEqual([code, stdout], [64, ''], line);
      assert.match(stderr, message, line);
      assert.doesNotMatch(stderr, /\n {4}at /);
    }
  });

  it("hands the app's commands to the app's entry file, arguments and all", async () => {
    const app = tempFolder('app');
    fs.writeFileSync(path.join(app, 'server.js'), 'console.log(JSON.stringify(process.argv.slice(1)))');
    const entry = path.join(app, 'server.js');
    for (const args of [[], ['start', '--only', 'web'], ['migrate'], ['rollback']]) {
      const { code, stdout } = await catamount(app, args);
      assert.equal(code, 0);
      assert.deepEqual(JSON.parse(stdout), [entry, ...args]);
    }
  });
});
