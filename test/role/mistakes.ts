/**
 * A mistake that people make in an app: what differs from a correct one, and the message that they read, which names the
 * file, the mistake and the remedy. `check.test.ts` checks apps with the mistakes in IN_THE_APP; `refused-start.deep.ts`
 * starts an app with each of those in AT_A_START.
 */
export interface Mistake {
  /** Files that differ from the correct app; null: the file is missing. They import from 'catamount'. */
  readonly files?: Readonly<Record<string, string | null>>;
  /** Additional options of defineApp. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Settings of the start; undefined: not set. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly says: RegExp;
  /** true: the tree starts with a warning. */
  readonly warning?: boolean;
  /** true: nothing else is found. */
  readonly alone?: boolean;
  /** Exit code of the start. Default 78. */
  readonly code?: number;
}

const job = (name: string, body = 'perform() {}') =>
  `import { Job } from 'catamount';\nexport default class ${name} extends Job { ${body} }`;
const wave = (body: string) => ({ 'jobs/wave.js': job('WaveJob', body) });
const mailer = (name: string, body: string) =>
  `import { Mailer } from 'catamount';\nexport class ${name} extends Mailer { ${body} }`;
const preview = (name: string, body: string) =>
  `import { MailerPreview } from 'catamount';\nexport class ${name}Preview extends MailerPreview { ${body} }`;
const model = (name: string) =>
  `import { Model } from 'catamount';\nexport class ${name} extends Model { static tableName = 'users' }`;
const WELCOME = "static welcome = this.action('welcome'); welcome(to) { return this.mail({ to }); }";
const HTML = 'mailers/templates/user_mailer/welcome/html.ejs';
const MIGRATION = 'export async function up() {}\nexport async function down() {}';

/** An app without mistakes: each row changes one thing. */
export const SOUND: Readonly<Record<string, string>> = {
  'jobs/greet.js': job('GreetJob', "static cron = '0 3 * * *'; perform() {}"),
  'models/user.js': model('User'),
  'mailers/user-mailer.js': mailer('UserMailer', WELCOME),
  'mailers/previews/user-mailer-preview.js': `import { UserMailer } from '../user-mailer.js';
    ${preview('UserMailer', "welcome() { return UserMailer.welcome('ada@example.com') }")}`,
  [HTML]: "<p><%= t('.hello') %></p><%- include('/partials/button') %>",
  'mailers/templates/partials/button.ejs': "<a><%= t('button', { count: 2 }) %></a>",
  'mailers/templates/layouts/mailer/html.ejs': "<body><%- slot('content') %></body>",
  'locales/en.json':
    '{ "user_mailer": { "welcome": { "hello": "Hello" } }, "button_one": "One", "button_other": "More" }',
  'locales/ko.json': '{ "user_mailer": { "welcome": { "hello": "안녕" } }, "button_other": "더" }',
  'migrations/20270101000000_make_users.js': MIGRATION,
};

/** Mistakes that the check of an app finds, at each start and by `catamount check`. */
export const IN_THE_APP: Readonly<Record<string, Mistake>> = {
  'a job without perform': {
    files: { 'jobs/greet.js': job('GreetJob', 'run() {}') },
    says: /jobs\/greet\.js: GreetJob has no perform method: write what the job does in async perform\(\)/,
  },
  'a job file whose name does not match its class': {
    files: { 'jobs/gret.js': job('WaveJob') },
    says: /jobs\/gret\.js: it holds WaveJob; name the file wave, or the class GretJob/,
  },
  'two jobs with the same name': {
    files: wave("static jobName = 'GreetJob'; perform() {}"),
    says: /jobs\/wave\.js: two job classes are named GreetJob; give one another jobName/,
  },
  'a job that does not extend Job': {
    files: { 'jobs/wave.js': 'export default class WaveJob { perform() {} }' },
    says: /jobs\/wave\.js: WaveJob is no subclass of Job: let it extend Job/,
  },
  'a job that is not exported': {
    files: { 'jobs/wave.js': job('WaveJob').replace('export default ', '') },
    says: /jobs\/wave\.js: it declares WaveJob and does not export it: export it as the default/,
  },
  'a job that is exported by name': {
    files: { 'jobs/wave.js': job('WaveJob').replace('default ', '') },
    says: /jobs\/wave\.js: it exports WaveJob by name: export it as the default/,
  },
  'a job file that throws': {
    files: { 'jobs/wave.js': `const KEY = process.env.NO_SUCH_KEY.trim();\n${job('WaveJob')}` },
    says: /jobs\/wave\.js: Cannot read properties of undefined \(reading 'trim'\) in line 1: fix it/,
  },
  'a package that is not installed': {
    files: { 'jobs/wave.js': `import '@no-such/package/part';\n${job('WaveJob')}` },
    says: /jobs\/wave\.js: the package @no-such\/package is imported by .*wave\.js and is not installed: run npm install @no-such\/package/,
  },
  'an imported file that does not exist': {
    files: { 'jobs/wave.js': `import './no-such-file.js';\n${job('WaveJob')}` },
    says: /jobs\/wave\.js: .*no-such-file\.js is imported by .*wave\.js and does not exist: fix the path/,
  },
  'require in an ES module': {
    files: { 'jobs/wave.mjs': "const { Job } = require('catamount');\nexport default class WaveJob extends Job {}" },
    says: /jobs\/wave\.mjs: it is an ES module, which has no require in line 1: use import and export, or name it \.cjs/,
  },
  'a syntax error in a job': {
    files: { 'jobs/wave.cjs': 'module.exports = {\n  a: 1\n  b: 2 };' },
    says: /jobs\/wave\.cjs: it is not valid JavaScript, Unexpected identifier 'b' in line 3: fix it/,
  },
  'an invalid timeout': {
    files: wave("static timeout = '5 parsecs'; perform() {}"),
    says: /jobs\/wave\.js: WaveJob\.timeout is "5 parsecs"; give a length of time/,
  },
  'an invalid cron expression': {
    files: wave("static cron = '61 * * * *'; perform() {}"),
    says: /jobs\/wave\.js: WaveJob: cron is '61 \* \* \* \*': .*give five fields such as '0 3 \* \* \*'/,
  },
  'an unknown time zone': {
    files: wave("static cron = { at: '0 3 * * *', timeZone: 'Mars/Base' }; perform() {}"),
    says: /jobs\/wave\.js: WaveJob: timeZone is 'Mars\/Base'; give an IANA name, such as Europe\/Berlin, or UTC/,
  },
  'an unknown option of cron': {
    files: wave("static cron = { at: '0 3 * * *', zone: 'Europe/Berlin' }; perform() {}"),
    says: /jobs\/wave\.js: WaveJob: there is no option zone of cron: write timeZone/,
  },
  'two schedules with the same name': {
    files: wave("static cron = { at: '@daily', name: 'GreetJob' }; perform() {}"),
    says: /GreetJob and WaveJob: both have a cron named GreetJob; give one of them another name/,
  },
  'a queue that is not served': {
    files: wave("static queue = 'reports'; perform() {}"),
    says: /jobs\/wave\.js: WaveJob goes to the queue reports, which JOB_QUEUES \(default, mailer\) lacks: add it there/,
    warning: true,
  },
  'a queue of retries that is not served': {
    files: wave("static retryQueue = 'low'; perform() {}"),
    says: /jobs\/wave\.js: WaveJob goes to the queue low, which JOB_QUEUES \(default, mailer\) lacks: add it there/,
    warning: true,
  },
  'a queue of retries that cannot be one': {
    files: wave("static retryQueue = 'a b'; perform() {}"),
    says: /jobs\/wave\.js: WaveJob: retryQueue is "a b"; use letters, digits, - and _/,
  },
  'two models with the same name': {
    files: { 'models/person.js': model('User') },
    says: /models\/user\.js: there is another model named User: rename one/,
  },
  'a mailer file that exports none': {
    files: { 'mailers/text.js': 'export const text = 1;' },
    says: /mailers\/text\.js: a file in the mailers folder must export a subclass of Mailer: export it, or move the file into a subfolder/,
  },
  'two mailers with the same name': {
    files: { 'mailers/welcome-mailer.js': mailer('UserMailer', WELCOME) },
    says: /mailers\/welcome-mailer\.js: there is another mailer named UserMailer: rename one/,
  },
  'an action without a method': {
    files: { 'mailers/user-mailer.js': mailer('UserMailer', `static hello = this.action('helo'); ${WELCOME}`) },
    says: /mailers: UserMailer#helo is declared by static hello .* no such method: write it/,
  },
  'an action without a template': {
    files: { [HTML]: null },
    says: /user_mailer\/welcome\/html\.ejs: UserMailer#welcome has no template: write this file, or text\.ejs/,
  },
  'a template that cannot be compiled': {
    files: { 'mailers/templates/partials/button.ejs': '<p>\n<% if (true) { %>' },
    says: /partials\/button\.ejs.* \(a template of UserMailer#welcome: fix it\)/,
  },
  'a missing partial': {
    files: { 'mailers/templates/partials/button.ejs': null },
    says: /welcome\/html\.ejs: UserMailer#welcome includes \/partials\/button, but there is no .*button\.ejs: write it/,
  },
  'a missing layout': {
    files: { 'mailers/templates/layouts/mailer/html.ejs': null },
    says: /layouts\/mailer\/html\.ejs: the layout of UserMailer#welcome is missing: write it, or set static layout = false/,
  },
  'a missing text': {
    files: { 'locales/en.json': '{ "button_other": "More" }' },
    says: /locales\/en\.json: lacks the text user_mailer\.welcome\.hello that .*UserMailer#welcome shows: add it/,
  },
  'a text that another locale lacks': {
    files: { 'locales/ko.json': '{ "button_other": "더" }' },
    says: /locales\/ko\.json: lacks the text user_mailer\.welcome\.hello/,
    warning: true,
  },
  'a text that only code names and another locale lacks': {
    files: {
      'locales/en.json':
        '{ "user_mailer": { "welcome": { "hello": "Hello", "subject": "Hi", "bye": "Bye" } }, "button_one": "One", "button_other": "More" }',
      'locales/pt.json':
        '{ "user_mailer": { "welcome": { "hello": "Olá", "subject": "Oi" } }, "button_one": "Um", "button_other": "Mais" }',
      'locales/pt-BR.json': '{ "user_mailer": { "welcome": { "bye": "Tchau" } } }',
      'locales/ko.json':
        '{ "user_mailer": { "welcome": { "hello": "안녕", "subject": "가입", "bye": "잘 가" } }, "button_other": "더" }',
    },
    says: /locales\/pt\.json: lacks the text user_mailer\.welcome\.bye, which en\.json has: add it$/,
    warning: true,
    alone: true,
  },
  'a file of texts that is not named after a locale': {
    files: { 'locales/pt_BR.json': '{}' },
    says: /locales\/pt_BR\.json: pt_BR is not a language tag \(BCP 47\): name it after a locale, such as pt-BR\.json$/,
    warning: true,
    alone: true,
  },
  'a default locale without a file': {
    files: { 'locales/en.json': null },
    says: /locales\/en\.json: it is missing, but DEFAULT_LOCALE is en: write it, or set DEFAULT_LOCALE to ko$/,
    warning: true,
  },
  'texts that are not valid JSON': {
    files: { 'locales/ko.json': '{ "button": ' },
    says: /locales\/ko\.json: it is not valid JSON, .*: fix it/,
  },
  'a class for mails that is no job of the app': {
    files: {
      'mailers/rated-mailer.js': `import { MailDeliveryJob, Mailer } from 'catamount';
class RatedJob extends MailDeliveryJob {}
export class RatedMailer extends Mailer { static deliveryJob = RatedJob; }`,
    },
    says: /mailers: RatedMailer\.deliveryJob is RatedJob, which is no job of the app: move it into a file/,
  },
  'a class for mails that is not one': {
    files: {
      'mailers/rated-mailer.js': `import { Job, Mailer } from 'catamount';
class RatedJob extends Job { perform() {} }
export class RatedMailer extends Mailer { static deliveryJob = RatedJob; }`,
    },
    says: /mailers: RatedMailer\.deliveryJob is RatedJob; give a class that extends MailDeliveryJob/,
  },
  'a preview without a mailer': {
    files: { 'mailers/previews/guest-mailer-preview.js': preview('GuestMailer', 'hello() {}') },
    says: /previews: GuestMailerPreview previews GuestMailer, but no mailer has that name: name it after one/,
    warning: true,
  },
  'two migrations with the same name': {
    files: { 'migrations/20270101000000_make_users.cjs': 'exports.up = exports.down = async () => undefined;' },
    says: /migrations\/20270101000000_make_users\.js: 20270101000000_make_users\.cjs is a migration of the same name, .*: rename one, or remove it/,
  },
  'a mistyped option': {
    options: { mailer: 'mails' },
    says: /defineApp: there is no option mailer: write mailers/,
  },
  'an unknown hook': {
    options: { hooks: { onBoot: null } },
    says: /defineApp: there is no hook onBoot: take it out, or write one of booted, workerBoot, /,
  },
  'a string in place of a function': {
    options: { workerStop: 'stop.js' },
    says: /defineApp: workerStop is "stop\.js"; give a function/,
  },
  'a path in place of an import': {
    options: { jobSetup: './job-setup.js' },
    says: /defineApp: jobSetup is "\.\/job-setup\.js"; give a function, such as \(\) => import\('\.\/jobSetup'\)/,
  },
  'a missing folder': {
    options: { jobs: 'src/jobs' },
    says: /defineApp: jobs is "src\/jobs", and there is no folder .*src\/jobs: make it, or name another/,
    warning: true,
  },
  'one missing folder of several': {
    options: { templates: ['mailers/templates', 'shared/mails'] },
    says: /defineApp: templates is \[.*\], and there is no folder .*shared\/mails: make it, or name another/,
    warning: true,
  },
  'a probe that is not a path': {
    options: { probes: { health: 'livez' } },
    says: /defineApp: probes\.health is .*livez.*; give a path that begins with \//,
  },
};

const SERVER = "import { boot } from 'catamount';\nimport app from './app.js';\nawait boot(app);";
const APP = `import { defineApp } from 'catamount';
export default defineApp({ name: 'shop', root: import.meta.dirname, routes: () => import('./routes.js') });`;

/** The other files that an app needs to start. */
export const STARTING: Readonly<Record<string, string>> = {
  'package.json': '{ "name": "shop", "type": "module" }',
  'server.js': SERVER,
  'app.js': APP,
  'routes.js': 'export default () => {};',
};

/** Mistakes that a start finds, or the entry file before it. */
export const AT_A_START: Readonly<Record<string, Mistake>> = {
  'import in a CommonJS file': {
    files: { 'jobs/wave.cjs': job('WaveJob') },
    says: /jobs\/wave\.cjs: it uses import or export, and Node takes it for CommonJS: name it \.mjs/,
  },
  'an entry file that does not boot': {
    files: { 'server.js': "import './app.js';" },
    says: /server\.js: it has ended without calling boot, so nothing was started: call boot\(app\) in it/,
  },
  'no entry file': {
    files: { 'server.js': null },
    says: /There is no dist\/server\.js, .* in .*\. Build the app, or go to its folder\./,
    code: 64,
  },
  'an app file that exports nothing': {
    files: { 'app.js': '' },
    says: /server\.js: the requested module '\.\/app\.js' does not provide an export named 'default' in line 2: fix that import/,
  },
  'an object in place of an app': {
    files: { 'app.js': "export default { name: 'shop' };" },
    says: /server\.js: boot needs the app's manifest and got an object that is not one: export what defineApp/,
  },
  'an app without a name': {
    files: { 'app.js': APP.replace("name: 'shop', ", '') },
    says: /defineApp: name is undefined; use letters, digits, - and _, such as shop/,
  },
  'an app without a root': {
    files: { 'app.js': APP.replace('root: import.meta.dirname, ', '') },
    says: /defineApp: root is undefined; give an absolute path, such as __dirname/,
  },
  'a folder that is not a string': {
    files: { 'app.js': APP.replace('root:', 'jobs: 5, root:') },
    says: /defineApp: jobs is 5; give a folder below root, such as src\/jobs/,
  },
  'missing routes': {
    files: { 'routes.js': null },
    says: /routes \(\.\/routes\.js\) cannot be loaded: .*routes\.js is imported by .*app\.js and does not exist: fix the path/,
  },
  'routes that are not a function': {
    files: { 'routes.js': 'export default {};' },
    says: /routes \(\.\/routes\.js\): its default export is no function; export one: \(router, environment\)/,
  },
  'routes that throw': {
    files: { 'routes.js': "export default (router) => {\n  router.gett('/');\n};" },
    says: /routes \(\.\/routes\.js\): router\.gett is not a function in line 2 of .*routes\.js: fix it/,
  },
  'all invalid settings': {
    env: {
      PORT: 'abc',
      DEFAULT_LOCALE: 'de_DE.UTF-8',
      DATABASE_URL: undefined,
      REDIS_URL: 'localhost:6379',
      OPS_USER: 'ada',
    },
    says: new RegExp(
      [
        /PORT +is "abc"; it must be a whole number from 0 to 65535/,
        /DEFAULT_LOCALE +is "de_DE\.UTF-8"; it must be a language tag \(BCP 47\), such as de or pt-BR/,
        /DATABASE_URL +is not set.*; nothing embedded starts in production/,
        /REDIS_URL +is .*; it must be .*redis:\/\//,
        /OPS_PASSWORD +is not set; it must be at least 8 characters, since OPS_USER is set/,
      ]
        .map(({ source }) => `(?=[^]*${source})`)
        .join(''),
    ),
  },
  'a database that does not answer': {
    env: { NODE_ENV: 'development' },
    says: /Cannot migrate, Postgres at 127\.0\.0\.1:1\b.* does not let us in: .*: start it, or give DATABASE_URL its address/,
    code: 69,
  },
  'a wrong Postgres password': {
    env: { NODE_ENV: 'development', DATABASE_URL: 'a wrong password' },
    says: /Cannot migrate, Postgres at \S+ does not let us in: password authentication failed for user \\?"\w+\\?": give DATABASE_URL the right user and password/,
    code: 69,
  },
  'a migration without up': {
    files: { 'migrations/20270101000000_make_users.js': 'export async function down() {}' },
    env: { NODE_ENV: 'development', DATABASE_URL: 'a real one' },
    says: /migrations\/20270101000000_make_users\.js: it exports no function up: write export async function up\(knex\)/,
  },
};
