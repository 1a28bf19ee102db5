import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { requireNode } from '../../lib/boot';
import { defineApp } from '../../lib/role/app-definition';
import { checkApp } from '../../lib/role/check';
import { refuseMistakes } from '../../lib/role/findings';
import { loadRoutes } from '../../lib/role/load-setup';
import { LANE_FOLDER, removeFolder, tempFolder } from '../support/temp-folder';

const from = (file: string) => JSON.stringify(path.resolve(__dirname, '../../lib', file));
const job = (name: string, body = 'perform() {}') =>
  `import { Job } from ${from('job/job')};\nexport default class ${name} extends Job { ${body} }`;
const mailer = (name: string, body: string) =>
  `import { Mailer } from ${from('mailer/mailer')};\nexport class ${name} extends Mailer { ${body} }`;
const model = (name: string) =>
  `import { Model } from ${from('model/model')};\nexport class ${name} extends Model { static tableName = 'users' }`;
const WELCOME = "static welcome = this.action('welcome'); welcome(to) { return this.mail({ to }); }";

/** An app without a mistake: each row of the table changes one thing. */
const SOUND: Readonly<Record<string, string>> = {
  'jobs/greet.ts': job('GreetJob', "static override cron = '0 3 * * *'; perform() {}"),
  'models/user.ts': model('User'),
  'mailers/user-mailer.ts': mailer('UserMailer', WELCOME),
  'mailers/previews/user-mailer-preview.ts': `import { MailerPreview } from ${from('mailer/mailer')};
    import { UserMailer } from '../user-mailer';
    export class UserMailerPreview extends MailerPreview { welcome() { return UserMailer.welcome('ada@example.com') } }`,
  'mailers/templates/user_mailer/welcome/html.ejs': "<p><%= t('.hello') %></p><%- include('/partials/button') %>",
  'mailers/templates/partials/button.ejs': "<a><%= t('button', { count: 2 }) %></a>",
  'mailers/templates/layouts/mailer/html.ejs': "<body><%- slot('content') %></body>",
  'locales/en.json':
    '{ "user_mailer": { "welcome": { "hello": "Hello" } }, "button_one": "One", "button_other": "More" }',
  'locales/ko.json': '{ "user_mailer": { "welcome": { "hello": "안녕" } }, "button_other": "더" }',
};

interface Mistake {
  /** Files that differ from the sound app; null: one that is missing. */
  readonly files: Readonly<Record<string, string | null>>;
  /** What the sentence must say: file, thing and remedy. */
  readonly says: RegExp;
  /** true: a tree starts with it, and is warned. */
  readonly warning?: boolean;
}

const MISTAKES: Readonly<Record<string, Mistake>> = {
  'a job without perform': {
    files: { 'jobs/greet.ts': job('GreetJob', 'run() {}') },
    says: /jobs\/greet\.ts: GreetJob has no perform method: write what the job does in async perform\(\)/,
  },
  'a job file of another name': {
    files: { 'jobs/gret.ts': job('WaveJob') },
    says: /jobs\/gret\.ts: it holds WaveJob; name the file wave, or the class GretJob/,
  },
  'two jobs of one name': {
    files: { 'jobs/wave.ts': job('WaveJob', "static override jobName = 'GreetJob'; perform() {}") },
    says: /jobs\/wave\.ts: two job classes are named GreetJob; give one another jobName/,
  },
  'a job that does not extend Job': {
    files: { 'jobs/wave.ts': 'export default class WaveJob { perform() {} }' },
    says: /jobs\/wave\.ts: WaveJob is no subclass of Job: let it extend Job/,
  },
  'a timeout that is no length of time': {
    files: { 'jobs/wave.ts': job('WaveJob', "static override timeout = '5 parsecs'; perform() {}") },
    says: /jobs\/wave\.ts: WaveJob\.timeout is "5 parsecs"; give a length of time/,
  },
  'a cron expression that is none': {
    files: { 'jobs/wave.ts': job('WaveJob', "static override cron = '61 * * * *'; perform() {}") },
    says: /jobs\/wave\.ts: WaveJob: cron is '61 \* \* \* \*'/,
  },
  'two schedules of one name': {
    files: {
      'jobs/wave.ts': job('WaveJob', "static override cron = { at: '@daily', name: 'GreetJob' }; perform() {}"),
    },
    says: /GreetJob and WaveJob: both have a cron named GreetJob; give one of them another name/,
  },
  'a queue that nobody serves': {
    files: { 'jobs/wave.ts': job('WaveJob', "static override queue = 'reports'; perform() {}") },
    says: /jobs\/wave\.ts: WaveJob goes to the queue reports, which JOB_QUEUES \(default, mailer\) lacks: add it there/,
    warning: true,
  },
  'a syntax error in a job': {
    files: { 'jobs/wave.ts': 'export default class WaveJob extends {' },
    says: /jobs\/wave\.ts: .+/,
  },
  'two models of one name': {
    files: { 'models/person.ts': model('User') },
    says: /models\/user\.ts: there is another model named User/,
  },
  'a mailer file that exports none': {
    files: { 'mailers/text.ts': 'export const text = 1;' },
    says: /mailers\/text\.ts: a file in the mailers folder must export a subclass of Mailer/,
  },
  'an action without a method': {
    files: { 'mailers/user-mailer.ts': mailer('UserMailer', `static hello = this.action('helo'); ${WELCOME}`) },
    says: /mailers: UserMailer#helo is declared by static hello .* no such method: write it/,
  },
  'an action without a template': {
    files: { 'mailers/templates/user_mailer/welcome/html.ejs': null },
    says: /user_mailer\/welcome\/html\.ejs: UserMailer#welcome has no template: write this file, or text\.ejs/,
  },
  'a template that cannot be compiled': {
    files: { 'mailers/templates/user_mailer/welcome/html.ejs': '<p>\n<% if (true) { %>' },
    says: /user_mailer\/welcome\/html\.ejs.* \(a template of UserMailer#welcome: mend it\)/,
  },
  'a partial that is missing': {
    files: { 'mailers/templates/partials/button.ejs': null },
    says: /welcome\/html\.ejs: UserMailer#welcome includes \/partials\/button, and there is no .*button\.ejs: write it/,
  },
  'a layout that is missing': {
    files: { 'mailers/templates/layouts/mailer/html.ejs': null },
    says: /layouts\/mailer\/html\.ejs: the layout of UserMailer#welcome is missing: write it, or set static layout = false/,
  },
  'a text that is missing': {
    files: { 'locales/en.json': '{ "button_other": "More" }' },
    says: /locales\/en\.json: lacks the text user_mailer\.welcome\.hello that .*UserMailer#welcome shows: add it/,
  },
  'a text that another locale lacks': {
    files: { 'locales/ko.json': '{ "button_other": "더" }' },
    says: /locales\/ko\.json: lacks the text user_mailer\.welcome\.hello/,
    warning: true,
  },
  'texts that are no JSON': {
    files: { 'locales/ko.json': '{ "button": ' },
    says: /locales\/ko\.json: .*JSON/,
  },
  'a preview of no mailer': {
    files: {
      'mailers/previews/guest-mailer-preview.ts': `import { MailerPreview } from ${from('mailer/mailer')};
        export class GuestMailerPreview extends MailerPreview { hello() {} }`,
    },
    says: /previews: GuestMailerPreview previews GuestMailer, and no mailer is named so: name it after one/,
    warning: true,
  },
};

describe('the check of an app', () => {
  const folders: string[] = [];
  after(() => {
    for (const folder of folders) removeFolder(folder);
  });

  function check(changes: Mistake['files']) {
    const root = tempFolder('check');
    folders.push(root);
    for (const [name, text] of Object.entries({ ...SOUND, ...changes })) {
      if (text === null) continue;
      fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      fs.writeFileSync(path.join(root, name), text);
    }
    const app = defineApp({ name: 'shop', root, routes: async () => ({ default: () => undefined }) });
    const queues = ['default', 'mailer'].map((name) => ({ name, weight: 1 }));
    return checkApp(app, {
      jobs: { enabled: true, concurrency: 2, weighted: false, queues, latencyWarningMs: 0 },
      defaultLocale: 'en',
    });
  }

  it('finds nothing in a sound app, and counts what it looked at', async () => {
    assert.deepEqual(await check({}), { findings: [], jobs: 1, mailers: 1 });
  });

  for (const [name, { files, says, warning = false }] of Object.entries(MISTAKES)) {
    it(`finds ${name}`, async () => {
      const { findings } = await check(files);
      const [finding = assert.fail('nothing was found'), ...more] = findings.filter(({ message }) =>
        says.test(message),
      );
      assert.deepEqual(more, []);
      assert.equal(finding.fatal, !warning);
      assert.ok(finding.message.includes(LANE_FOLDER) || /cron named/.test(finding.message), finding.message);
    });
  }

  it('tells all mistakes at once, and refuses a start for the fatal ones', async () => {
    const { findings } = await check({
      ...MISTAKES['a job without perform']?.files,
      ...MISTAKES['a text that is missing']?.files,
      ...MISTAKES['a queue that nobody serves']?.files,
    });
    const warnings: string[] = [];
    assert.throws(
      () => refuseMistakes(findings, (message) => warnings.push(message)),
      (error: Error & { readonly exitCode?: number }) =>
        error.exitCode === 78 && /no perform/.test(error.message) && /lacks the text/.test(error.message),
    );
    assert.equal(warnings.filter((message) => /queue reports/.test(message)).length, 1);
  });

  it('names the file of routes that export no function', async () => {
    const routes = async () => ({ default: {} });
    await assert.rejects(
      loadRoutes({ routes } as unknown as Parameters<typeof loadRoutes>[0]),
      /^UserError: routes \(of defineApp\): its default export is no function; export one:/,
    );
  });

  it('finds what the app says wrongly of its web', async () => {
    const app = defineApp({ name: 'shop', root: LANE_FOLDER, probes: { health: 'livez' } });
    const { findings } = await checkApp(app, undefined);
    assert.match(JSON.stringify(findings), /defineApp: probes\.health is .*livez.*; give a path that begins with \//);
  });

  it('says which Node.js is needed', () => {
    assert.throws(
      () => requireNode('18.20.4'),
      /^UserError: This is Node\.js 18\.20\.4; Catamount needs 20\.19 or later/,
    );
    assert.throws(() => requireNode('20.18.1'), /20\.19/);
    for (const version of ['20.19.0', '22.1.0', process.versions.node]) requireNode(version);
  });
});
