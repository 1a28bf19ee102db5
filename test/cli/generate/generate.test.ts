import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../../lib/core/errors';
import { catamount } from '../cli-process';
import { AppFolder } from './app-folder';

const TS = { typescript: true, esm: false };

describe('catamount generate', () => {
  it('writes the files of each kind into the folders of the manifest', async () => {
    const app = new AppFolder(TS, ", models: 'lib/models', mailers: 'lib/mailers', templates: 'lib/mails'");
    app.write('lib/mails/layouts/mailer/html.ejs', '');
    for (const line of [
      'generate job WelcomeEmail userId --queue mailer',
      'generate mailer UserMailer welcome passwordReset',
      'generate model Category title:text note?',
      'generate migration add_slug_to_categories slug?',
    ])
      await app.catamount(line);
    assert.deepEqual(app.files(), [
      'jobs/welcome-email.ts',
      'lib/mailers/previews/user-mailer-preview.ts',
      'lib/mailers/user-mailer.ts',
      'lib/mails/layouts/mailer/html.ejs',
      'lib/mails/user_mailer/password_reset/html.ejs',
      'lib/mails/user_mailer/password_reset/text.ejs',
      'lib/mails/user_mailer/welcome/html.ejs',
      'lib/mails/user_mailer/welcome/text.ejs',
      'lib/models/category.ts',
      'migrations/<time>_add_slug_to_categories.ts',
      'migrations/<time>_create_categories.ts',
      'test/jobs/welcome-email.test.ts',
      'test/mailers/user-mailer.test.ts',
      'test/models/category.test.ts',
    ]);
    assert.match(app.read('jobs/welcome-email.ts'), /class WelcomeEmailJob extends Job<\[userId: string\]>/);
    assert.match(app.read('jobs/welcome-email.ts'), /static override readonly queue = 'mailer';/);
    assert.match(app.read('lib/models/category.ts'), /declare title: string;\n {2}declare note: string \| null;/);
    const [table = ''] = fs.readdirSync(path.join(app.folder, 'migrations')).sort();
    assert.match(app.read(`migrations/${table}`), /text\('title'\)\.notNullable\(\);\n.*text\('note'\);/);
    assert.doesNotMatch(app.read('lib/mailers/user-mailer.ts'), /layout/);
    assert.match(app.read('test/mailers/user-mailer.test.ts'), /from '\.\.\/\.\.\/lib\/mailers\/user-mailer';/);
  });

  it('accepts a name in any spelling, with or without the suffix of its kind', async () => {
    for (const name of ['WelcomeEmail', 'welcomeEmailJob', 'welcome-email', 'welcome_email_job']) {
      const app = new AppFolder(TS);
      await app.catamount(`generate job ${name}`);
      assert.match(app.read('jobs/welcome-email.ts'), /class WelcomeEmailJob /, name);
    }
  });

  it('follows the language and the module system of the app', async () => {
    const expected = [
      [false, false, "const { Job } = require('catamount');", "require('../../jobs/tidy');"],
      [false, true, "import { Job } from 'catamount';", "from '../../jobs/tidy.js';"],
      [true, false, "import { Job } from 'catamount';", "from '../../jobs/tidy';"],
      [true, true, "import { Job } from 'catamount';", "from '../../jobs/tidy.js';"],
    ] as const;
    for (const [typescript, esm, job, test] of expected) {
      const app = new AppFolder({ typescript, esm });
      await app.catamount('generate job tidy');
      const extension = typescript ? 'ts' : 'js';
      assert.ok(app.read(`jobs/tidy.${extension}`).includes(job), `${typescript} ${esm}`);
      assert.ok(app.read(`test/jobs/tidy.test.${extension}`).includes(test), `${typescript} ${esm}`);
    }
    const app = new AppFolder(TS);
    app.write('tsconfig.json', '{ "compilerOptions": { "allowImportingTsExtensions": true } }');
    await app.catamount('generate model Post');
    const test = app.read('test/models/post.test.ts');
    assert.match(test, /import \{ after, afterEach, before, beforeEach, describe, it \} from 'node:test';/);
    assert.ok(test.includes("from '../../models/post.ts';"), test);
  });

  it('never overwrites: if a file exists, it names that and writes none', async () => {
    const app = new AppFolder(TS);
    app.write('test/jobs/tidy.test.ts', '// mine\n');
    await assert.rejects(() => app.catamount('generate job tidy'), {
      name: 'UserError',
      message:
        'test/jobs/tidy.test.ts already exists, and nothing was written. Move away what exists, or give another name.',
    });
    assert.deepEqual(app.files(), ['test/jobs/tidy.test.ts']);
    app.write('migrations/20260101000000_create_posts.ts', '// mine\n');
    await assert.rejects(() => app.catamount('generate model Post'), /20260101000000_create_posts\.ts already exists/);
    fs.rmSync(path.join(app.folder, 'test/jobs/tidy.test.ts'));
    await app.catamount('generate job tidy');
    await assert.rejects(() => app.catamount('generate job tidy'), /tidy\.ts, .* already exist, and nothing/);
  });

  it('dates a migration after the latest one, even within the same second or when that is dated ahead of the clock', async () => {
    const app = new AppFolder(TS);
    app.write('migrations/29990101000000_create_users.ts', '');
    await app.catamount('generate model Post');
    const printed = await app.catamount('generate migration add_slug_to_posts slug');
    assert.match(
      printed,
      /^The migration runs by npm run build && npx catamount db migrate, or when the app is started/m,
    );
    const names = fs.readdirSync(path.join(app.folder, 'migrations')).sort();
    assert.deepEqual(names.slice(1), ['29990101000001_create_posts.ts', '29990101000002_add_slug_to_posts.ts']);
  });

  it('lists the files with --dry-run, and changes nothing', async () => {
    const app = new AppFolder(TS);
    const listed = await app.catamount('generate job tidy --dry-run');
    assert.equal(
      listed,
      '    create  jobs/tidy.ts\n    create  test/jobs/tidy.test.ts\nNothing was changed: --dry-run.\n',
    );
    assert.match(await app.catamount('generate model Box --dry-run'), /_create_boxes\.ts$/m);
    assert.deepEqual(app.files(), []);
  });

  it('writes all files or none when the system refuses one, and names that one', async () => {
    const app = new AppFolder(TS);
    app.write('test', 'a file in the place of a folder');
    await assert.rejects(
      () => app.catamount('generate job tidy'),
      /^UserError: \S+\/test\/jobs\/tidy\.test\.ts cannot be written, and nothing was written: E[A-Z]+: .*\.$/,
    );
    assert.deepEqual(
      fs.readdirSync(app.folder).sort(),
      'app.ts node_modules package.json server.ts test tsconfig.json'.split(' '),
    );
    app.write('package.json', 'null');
    await assert.rejects(
      () => app.catamount('generate job tidy'),
      /package.json is not a valid package\.json: it is not an object\.$/,
    );
  });

  it('refuses wrong input with one sentence that says what to do', async () => {
    const app = new AppFolder(TS);
    const cases = [
      ['generate', /needs to know what. See catamount help generate/],
      ['generate jib tidy', /does not know jib \(job\?\): give one of job, mailer,/],
      ['generate job', /A job needs a name. For example: catamount generate job WelcomeEmail/],
      ['generate job 7up', /"7up" is not a name. Name the job in letters and digits, .* such as WelcomeEmail/],
      ['generate job ../evil', /"\.\.\/evil" is not a name/],
      ['generate job Job', /"Job" is reserved/],
      ['generate model class', /"class" is reserved/],
      ['generate job DeliverMail', /There already is a class DeliverMailJob.* Give the job another name\.$/],
      ['generate job tidy id id:number', /The argument id is given twice/],
      ['generate model Model', /There already is a class Model.* Give the model another name\.$/],
      ['generate model Date at:timestamp', /There already is a class Date/],
      ['generate model TestDatabase', /There already is a class TestDatabase/],
      ['generate model MailDelivery', /The table mail_deliveries is one of Catamount's own/],
      ['generate migration create_ops_sign_outs key', /The table ops_sign_outs is one of Catamount's own/],
      ['generate model Post to_string', /Every model already has toString\. Give the field another name/],
      ['generate mailer NameMailer name', /Every mailer already has name\. Give the action another name/],
      ['generate mailer MailMailer mail', /Every mailer already has mail\./],
      ['generate mailer UserMailer before_deliver', /Every mailer already has beforeDeliver\./],
      ['generate mailer UserMailer locale', /Every preview already has locale\./],
      ['generate job tidy count:int', /"count:int" is no argument\. .* name:type with one of string, number/],
      ['generate job tidy --queue a/b', /"a\/b" is not the name of a queue/],
      ['generate mailer UserMailer', /A mailer needs an action/],
      ['generate mailer UserMailer hi hi', /The action hi is given twice/],
      ['generate model Post title:txt', /there is no type txt \(text\?\)/],
      ['generate model Post id', /Leave id out/],
      ['generate model Post createdAt:timestamp', /Leave createdAt out/],
      ['generate model Post a a:text', /The field a is given twice/],
      ['generate model Post --queue mailer', /--queue belongs to generate job/],
      ['generate migration rename slug', /named create_TABLE or add_…_to_TABLE/],
      ['generate job tidy --nonsense', /--nonsense/],
    ] as const;
    for (const [line, message] of cases) {
      await assert.rejects(
        () => app.catamount(line),
        (error) => error instanceof UserError && error.exitCode === 64 && message.test(error.message),
        line,
      );
    }
    assert.deepEqual(app.files(), []);
    assert.match(await app.catamount('generate job tidy --queue slow'), /set JOB_QUEUES=default,mailer,slow\n$/);
  });

  it('writes no migration when the app has its own migration tool', async () => {
    const app = new AppFolder(TS);
    const manifest = fs.readFileSync(path.join(app.folder, 'app.ts'), 'utf8');
    app.write('app.ts', manifest.replace('defineApp({', 'defineApp({ migrations: false,'));
    await assert.rejects(
      () => app.catamount('generate migration create_posts'),
      /^UserError: app says migrations: false, so a tool of the app's own writes and runs its migrations\. Use that tool/,
    );
    await app.catamount('generate model Post');
    assert.deepEqual(app.files(), ['models/post.ts', 'test/models/post.test.ts']);
  });

  it('says where it looked when the folder contains no app', async () => {
    const app = new AppFolder(TS);
    fs.rmSync(path.join(app.folder, 'server.ts'));
    fs.rmSync(path.join(app.folder, 'app.ts'));
    await assert.rejects(
      () => app.catamount('generate job tidy'),
      /There is no dist\/server\.js, .* in \S+\. Build the app, or go to its folder\.$/,
    );
    fs.rmSync(path.join(app.folder, 'package.json'));
    await assert.rejects(() => app.catamount('generate job tidy'), /There is no package\.json in /);
  });

  it('is a command with its own help', async () => {
    const app = new AppFolder(TS);
    const made = await catamount(app.folder, ['generate', 'job', 'tidy', '--queue', 'mailer']);
    assert.deepEqual([made.code, made.stderr], [0, '']);
    assert.doesNotMatch(made.stdout, /JOB_QUEUES/, 'that queue is served');
    const help = await catamount(app.folder, ['help', 'generate']);
    assert.match(help.stdout, /^Usage: catamount generate WHAT NAME/);
    assert.equal((await catamount(app.folder, ['generate', '--help'])).stdout, help.stdout);
    const ofModel = (await catamount(app.folder, ['generate', 'model', '--help'])).stdout;
    assert.match(ofModel, /generate model Post/);
    assert.doesNotMatch(ofModel, /generate job/);
  });
});
