import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describeUsage, OPTIONS } from '../../../lib/job/cli/command';
import { JOB_COMMANDS, jobsHelp, parseJobCommand } from '../../../lib/job/cli/commands';

const ID = '0b0e7c4e-4a3f-4c7a-9d53-0f6f5d1c8a11';

/** What an operator types after `jobs`, and the error, which comes before anything is connected. */
const WRONG: readonly (readonly [string | readonly string[], RegExp])[] = [
  [[], /^jobs needs a command\. See catamount jobs --help\.$/],
  ['lsit dead', /^There is no command "jobs lsit"\. Did you mean jobs list\?/],
  ['quite', /Did you mean jobs quiet\?/],
  ['nonsense', /^There is no command "jobs nonsense"\. See/],
  ['cron rnu nightly', /^There is no command "jobs cron rnu"\./],
  ['stats halt', /^jobs stats does not take "halt"\. Usage: jobs stats\. See/],
  ['list', /^SET is missing\. Usage: jobs list SET\./],
  ['list dead retry', /^jobs list does not take "retry"\. Usage: jobs list SET\./],
  [
    'list daed',
    /^There is no set of jobs "daed"\. Did you mean dead\? There are: retry, scheduled, dead, finished, waiting, busy\.$/,
  ],
  ['list dead --clas X', /^There is no option --clas\. Did you mean --class\?/],
  ['list dead --class', /^--class of jobs needs a value\. See catamount help jobs\.$/],
  ['list dead --class --json', /^--class of jobs needs a value\. See/],
  ['list dead --json=yes', /^--json of jobs takes no value, but was given "yes"\. See/],
  ['list dead --wait 5m', /^jobs list has no option --wait\. See catamount jobs list --help\.$/],
  ['list dead --limit 0', /^--limit is "0"; give a whole number from 1\.$/],
  ['list dead --limit 501', /^--limit is 501; a page has at most 500 jobs\.$/],
  ['list dead --page two', /^--page is "two"/],
  ['list dead --tag a --tag b', /^--tag can be given once here, not 2 times\.$/],
  ['list dead --queue no/queue', /the queue is "no\/queue"/],
  ['show', /^ID is missing\. Usage: jobs show ID\./],
  [['show', 'no id'], /^the job id is "no id"; give one such as/],
  ['retry', /^jobs retry needs the ids of jobs, or --all for all jobs of a set\.$/],
  ['retry --class X', /needs the ids of jobs, or --all/],
  [`retry ${ID} --all`, /^Give ids or --all, not both\.$/],
  [`retry ${ID} --class X`, /^--class is for --all: ids say which jobs are meant\.$/],
  ['retry --all', /^Say which jobs are meant: --set retry or --set dead\.$/],
  [
    'retry --all --set scheduled',
    /^jobs retry is for retry and dead jobs\. For scheduled jobs there are jobs promote, /,
  ],
  ['retry --all --set deat', /^There is no set "deat" for --all\. Did you mean dead\? There are: retry, dead\.$/],
  ['delete --all --set waiting', /jobs clear QUEUE/],
  ['enqueue XJob --wait 10', /^--wait is "10"; give a time such as 90s, 5m, 2h or 7d\.$/],
  [`retry ${ID} --wait 5m`, /^jobs retry has no option --wait\./],
  ['enqueue', /^CLASS is missing\. Usage: jobs enqueue CLASS \[JSON\]\./],
  [['enqueue', 'XJob', '{"a":1}'], /^The arguments are \{"a":1\}: give an array, such as '\[\{"a":1\}\]'\.$/],
  [['enqueue', 'XJob', '[1'], /^The arguments are not JSON \(.*\): give an array such as/],
  ['enqueue XJob [] --queue a --queue b', /^--queue can be given once here, not 2 times\.$/],
  ['pause', /^QUEUE is missing\. Usage: jobs pause QUEUE \(for the whole job processor: jobs quiet\)\./],
  ['resume', /^QUEUE is missing\. Usage: jobs resume QUEUE \(for the whole job processor: catamount jobs resume/],
  ['clear', /^QUEUE is missing/],
  ['cron trigger', /^NAME is missing\. Usage: jobs cron trigger NAME\./],
  ['cron triger x', /^There is no command "jobs cron triger"\. Did you mean jobs cron trigger\?/],
];

describe('the parser of jobs commands', () => {
  for (const [words, message] of WRONG) {
    const args = typeof words === 'string' ? words.split(' ') : words;
    it(`rejects ${args.join(' ')}`, () => {
      assert.throws(() => parseJobCommand(args), { exitCode: 64, message });
    });
  }

  it('takes the name of a group for its list command', () => {
    const typed = parseJobCommand(['cron', '--json']);
    assert.ok(!typed.help);
    assert.deepEqual([typed.command.name, typed.json], ['cron list', true]);
  });

  it('has help for all commands, and for each one', () => {
    const typed = parseJobCommand(['--help']);
    assert.deepEqual(typed, { help: true, command: undefined });
    const help = jobsHelp();
    for (const name of Object.keys(OPTIONS)) assert.match(help, new RegExp(`--${name}\\b`));
    for (const command of JOB_COMMANDS) {
      assert.ok(help.includes(`  ${describeUsage(command)} `), command.name);
      const own = parseJobCommand([...command.name.split(' '), '-h']);
      assert.ok(own.help && own.command === command);
      const text = jobsHelp(command);
      assert.match(text, new RegExp(`^Usage: catamount jobs ${command.name}`));
      for (const name of command.options) assert.match(text, new RegExp(`--${name}\\b`));
    }
    assert.ok(help.split('\n').every((line) => line.length <= 140));
  });
});

describe('the table of jobs commands', () => {
  it('is in the guide, a row for each command', () => {
    const guide = fs.readFileSync(path.resolve(__dirname, '../../../lib/job/cli/README.md'), 'utf8');
    const rows = JOB_COMMANDS.map((command) => `| \`catamount ${describeUsage(command)}\` | ${command.help} |`);
    assert.ok(guide.includes(rows.join('\n')), `lib/job/cli/README.md should hold\n${rows.join('\n')}`);
  });
});
