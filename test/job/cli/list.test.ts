import assert from 'node:assert/strict';
import { KillJob } from '../../../lib/job/definition/errors';
import { Job } from '../../../lib/job/job';
import { until } from '../../support/until';
import { Gate } from '../gate';
import { useJobSystem } from '../job-system';
import { jobId, store, storeDead } from '../sets/stored-job';
import { CommandLine } from './command-line';

const gate = new Gate();

class ImportJob extends Job<[file: string, options?: { apiToken: string; rows: number }]> {
  static override retryIn = () => '1h' as const;
  static override readonly thread = { memory: '64MB' } as const;

  perform(file: string, _options?: object): void {
    throw new Error(`cannot read ${file}\nand more`);
  }
}

class DyingJob extends Job<[name: string]> {
  static override queue = 'mailer';

  perform(name: string): void {
    throw new KillJob(`no ${name}`);
  }
}

class SecretJob extends Job<[address: string]> {
  static override logArguments = false;

  perform(_address: string): void {}
}

class HeldJob extends Job<[n: number]> {
  async perform(_n: number): Promise<void> {
    await gate.pass();
  }
}

const CLASSES = [ImportJob, DyingJob, SecretJob, HeldJob];

interface Listed {
  readonly total: number;
  readonly jobs: readonly { readonly id: string; readonly class: string; readonly args: unknown }[];
}

describe('jobs list and jobs show', () => {
  let commandLine: CommandLine;
  const system = useJobSystem({ gate });
  before(() => {
    commandLine = new CommandLine(system, CLASSES, {
      equipment: { setup: { filterArguments: ['rows'] } },
    });
  });

  const list = async (words: string) => (await commandLine.run(`list ${words}`)).json as unknown as Listed;
  const ids = async (words: string) => (await list(words)).jobs.map((job) => job.id);
  const cellsOf = (text: string) => text.split('\n').map((line) => line.trim().split(/ {2,}/));
  const count = (set: string, wanted: number) =>
    until(`${wanted} in ${set}`, async () => (await list(set)).total === wanted);

  it('shows failed and dead jobs, with secret arguments filtered, in JSON, too', async () => {
    await system.processor(CLASSES);
    const imported = await ImportJob.performLater('/a.csv', { apiToken: 's3cret', rows: 7 });
    const died = await DyingJob.set({ tags: ['vip'] }).performLater('마리');
    await count('retry', 1);
    await count('dead', 1);
    const retry = await commandLine.run('list retry');
    const [heading, row, , foot] = cellsOf(retry.text);
    assert.deepEqual(heading, ['id', 'class', 'queue', 'failed', 'next', 'arguments', 'error']);
    const args = '["/a.csv",{"apiToken":"[FILTERED]","rows":"[FILTERED]"}]';
    assert.deepEqual(row?.toSpliced(4, 1), [
      imported.id,
      'ImportJob',
      'default',
      '1',
      args,
      'Error: cannot read /a.csv',
    ]);
    assert.match(row?.[4] ?? '', /^in (59|60) min$/);
    assert.deepEqual(foot, ['1 job']);
    assert.doesNotMatch(JSON.stringify(retry), /s3cret/);
    const dead = await commandLine.run('list dead --tag vip');
    assert.match(dead.text, /DyingJob {2}mailer +1 +(now|\d+ (ms|s) ago) {2}\["마리"\] +KillJob: no 마리\n/);

    const shown = await commandLine.run(`show ${died.id}`);
    for (const line of ['Class        DyingJob', 'State        dead', 'Reason       no 마리', 'Tags         vip'])
      assert.ok(shown.text.includes(`${line}\n`), `${line} is not in\n${shown.text}`);
    assert.match(shown.text, /^Died {9}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(.*\)$/m);
    assert.match(
      shown.text,
      /^Latest error: run 1, .* UTC \(.*\), after \d+ ms, by .*:\d+\n {2}KillJob: no 마리\n {6}at /m,
    );
    assert.equal(shown.json.set, 'dead');
    const { text, json } = await commandLine.run(`show ${imported.id}`);
    assert.match(text, /^Runs {9}.* \(in (59|60) min\)$/m);
    assert.match(text, /^Thread {7}a heap of 64 MB at most$/m);
    assert.doesNotMatch(shown.text, /^Thread/m);
    assert.doesNotMatch(text + JSON.stringify(json), /s3cret/);
  });

  it('redacts the arguments of classes with logArguments = false, and of unknown classes', async () => {
    const secret = await SecretJob.performLater('ada@example.com');
    const unknown = await store(system.database.knex, 'ready', { class: 'GoneJob', args: ['ada@example.com'] });
    const waiting = await commandLine.run('list waiting');
    assert.doesNotMatch(JSON.stringify(waiting), /ada@/);
    assert.equal(waiting.text.match(/ {2}\(redacted\)\n/g)?.length, 2);
    assert.match(
      (await commandLine.run(`show ${secret.id}`)).text,
      /^Arguments {4}\(not shown: SecretJob says logArguments = false\)$/m,
    );
    assert.match(
      (await commandLine.run(`show ${unknown}`)).text,
      /^Arguments {4}\(not shown: the class is unknown\)$/m,
    );
  });

  it('shows where a job comes from, what waits before it, and what of it is secret or cannot be read', async () => {
    const { knex } = system.database;
    const secret = { password: 's3cret' };
    const from = { requestId: 'r-1', attributes: { tenant: 7, ...secret }, progress: { row: 8, ...secret } };
    await store(knex, 'ready', { at: 1 });
    const waits = await store(knex, 'ready', { class: 'ImportJob', at: 2, args: ['x'.repeat(5000)], ...from });
    const { text } = await commandLine.run(`show ${waits}`);
    for (const line of [
      'State        waiting, behind 1 other',
      'Request      r-1',
      `Arguments    ["${'x'.repeat(5000)}"]`,
      'Attributes   {"tenant":7,"password":"[FILTERED]"}',
      'Progress     {"row":8,"password":"[FILTERED]"}',
    ])
      assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`);
    const broken = await storeDead(knex, { payload: '{}', errors: ['second', 'first'] });
    const shown = (await commandLine.run(`show ${broken}`)).text;
    assert.match(shown, /^Arguments {4}\(cannot be read\)\nUnreadable {3}the payload names no job class$/m);
    assert.match(shown, /^Latest error\n {2}Error: second\n.*^Before it\n {2}Error: first\n/ms);
    assert.match((await commandLine.run('list dead')).text, / {2}\(unreadable\) {2}/);
  });

  it('says when there are more jobs than it counts or searches', async () => {
    await system.postgres.query(
      `insert into job_queue (queue, class, payload) select 'default', 'ImportJob', '{}' from generate_series(1, 100001)`,
    );
    const said = async (words: string) => (await commandLine.run(`list waiting ${words}`)).text;
    assert.match(await said('--limit 1'), /\n1–1 of more than 10,000 jobs; go on with --page 2\n$/);
    assert.match(await said('--limit 500 --page 20'), /of more than 10,000 jobs; go on with --page 21\n$/);
    assert.match(await said('--text nowhere'), /^No waiting job matches\.\nThere are more than 100,000 jobs, and only/);
  });

  it('shows when a job expires that has not begun', async () => {
    const { id } = await SecretJob.set({ expiresIn: '1d' }).performLater('a');
    assert.match((await commandLine.run(`show ${id}`)).text, /^Expires {6}20/m);
    const { id: plain } = await SecretJob.performLater('a');
    assert.doesNotMatch((await commandLine.run(`show ${plain}`)).text, /^Expires/m);
  });

  it('shows the priorities of jobs where one is not 0', async () => {
    await SecretJob.performLater('a');
    assert.doesNotMatch((await commandLine.run('list waiting')).text, /priority/);
    await SecretJob.set({ priority: -7 }).performLater('b');
    assert.match((await commandLine.run('list waiting')).text, /queue +priority +failed.*\n.* -7 /s);
    const { id } = await SecretJob.set({ priority: 7 }).performLater('c');
    const { text } = await commandLine.run(`show ${id}`);
    assert.match(text, /^State {8}waits until no other job of its queue waits$/m);
    assert.match(text, /^Priority {5}7$/m);
  });

  it('shows no control character of a job', async () => {
    await storeDead(system.database.knex, { class: 'ImportJob', args: ['\x1b[2J'], errors: ['\x1b[2Jgone'] });
    assert.doesNotMatch((await commandLine.run('list dead')).text, /[^\P{Cc}\n]/u);
  });

  it('pages by number', async () => {
    for (let n = 0; n < 7; n++)
      await storeDead(system.database.knex, { id: jobId(n), class: 'ImportJob', at: 1_700_000_000_000 - n });
    assert.deepEqual(await ids('dead --limit 3'), [0, 1, 2].map(jobId));
    assert.deepEqual(await ids('dead --limit 3 --page 3'), [jobId(6)]);
    const { text } = await commandLine.run('list dead --limit 3 --page 2');
    assert.match(text, /\n4–6 of 7 jobs; go on with --page 3\n$/);
    for (const last of ['--limit 3 --page 3', '--limit 1 --page 7'])
      assert.match((await commandLine.run(`list dead ${last}`)).text, /\n7–7 of 7 jobs\n$/);
    assert.equal((await commandLine.run('list dead --limit 3 --page 4')).text, 'Nothing on this page, of 7 jobs.\n');
  });

  it('lists running jobs', async () => {
    await system.processor(CLASSES);
    const { id } = await HeldJob.set({ tags: ['slow'] }).performLater(7);
    await count('busy', 1);
    const { text, json } = await commandLine.run('list busy');
    const row = `${id}  HeldJob  default +0 +(now|\\d+ (ms|s) ago)  \\[7\\]`;
    assert.match(text, new RegExp(`^id .*  started  arguments\\n${row}\\n\\n1 job\\n$`));
    assert.deepEqual((json.jobs as Listed['jobs'])[0]?.id, id);
    assert.deepEqual(await ids('busy --class ImportJob'), []);
    assert.deepEqual(await ids('busy --queue default --class HeldJob --tag slow'), [id]);
    assert.match((await commandLine.run(`show ${id}`)).text, /^State {8}running\nStarted {6}20/m);
  });

  it('says that a set is empty, or that no job matches', async () => {
    for (const [set, text] of Object.entries({
      retry: 'No job waits for a retry.',
      scheduled: 'No job is scheduled.',
      dead: 'No job is dead.',
      waiting: 'No job waits.',
      busy: 'No job runs.',
    })) {
      const { text: said, json, ok } = await commandLine.run(`list ${set}`);
      assert.deepEqual([said, json.total, ok], [`${text}\n`, 0, true]);
    }
    assert.equal((await commandLine.run('list dead --class ImportJob')).text, 'No dead job matches.\n');
  });

  it('suggests a similar class or queue for an unknown one', async () => {
    await storeDead(system.database.knex, { class: 'OldJob' });
    for (const [words, message] of [
      [
        'list dead --class ImprotJob',
        /^There is no job class "ImprotJob"\. Did you mean ImportJob\? There are: DyingJob, HeldJob,/,
      ],
      ['list dead --queue malier', /^There is no queue "malier"\. Did you mean mailer\? There are: default, mailer\.$/],
      ['retry --all --set dead --queue malier', /^There is no queue "malier"\. Did you mean mailer\?/],
      ['retry --all --set dead --class ImprotJob', /^There is no job class "ImprotJob"\. Did you mean ImportJob\?/],
      [
        'show nothing-like-it',
        /^There is no job nothing-like-it: it has succeeded, was discarded, cancelled or deleted, or never existed\.$/,
      ],
    ] as const)
      await assert.rejects(commandLine.run(words), { exitCode: 1, message });
    assert.equal((await list('dead --class OldJob')).total, 1, 'a class that is gone can be named while it has jobs');
  });
});
