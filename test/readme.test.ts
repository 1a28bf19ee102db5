import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { cronEntries } from '../lib/job/cron/schedule';
import { loadJobs } from '../lib/job/job-registry';
import type { MailSetup } from '../lib/mailer/definition/setup';
import type { MailMessage } from '../lib/mailer/message';
import { FAMILIES } from '../lib/ops/metrics/scrape';
import { defineApp } from '../lib/role/app/app-definition';
import { assertEnqueued, deliveries, useFakeJobs, useTestMail } from '../lib/testing';
import { writeFiles } from './support/app-folder';
import { removeFolder, tempFolder } from './support/temp-folder';

const root = path.resolve(__dirname, '..');
const read = (file: string) => fs.readFileSync(path.join(root, file), 'utf8');
const readme = read('README.md');
const settingsGuide = read('lib/core/README.md');
const jobGuide = read('lib/job/README.md');
const mailGuide = read('lib/mailer/README.md');
const opsGuide = read('lib/ops/README.md');

/** The type of the example's mailer. */
interface OrderMailers {
  with(params: { readonly shop: string }): { placed(order: object): MailMessage };
}

/** Declarations that the example of a job class assumes. */
const IMPORT_PRELUDE = `import { Job, JobTimeoutError } from ${JSON.stringify(path.join(root, 'lib/index'))};
class SmtpBusy extends Error {}
class FileGone extends Error {}
class FileEmpty extends Error {}
async function note(_id: string, _error: FileGone) {}
async function importLine(_file: string, _line: number) {}
`;

const section = (title: string, guide = readme) => guide.split(/^## /m).find((part) => part.startsWith(title)) ?? '';

const importJob = /```ts\n(export default class ImportJob[\s\S]*?)```/.exec(jobGuide)?.[1] ?? '';

describe('the README, or a guide,', () => {
  it('shows the two commands', () => {
    assert.match(section('Run it'), /^npm ci && npm start$/m);
    assert.match(section('Test it'), /^npm cit$/m);
  });

  /** The variables that the tables of a text list. */
  const variablesIn = (text: string) => {
    const rows = text.split('\n').filter((line) => line.startsWith('| `'));
    return rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([A-Z_]+)`/g)].map(([, name = '']) => name));
  };

  it('lists exactly the settings that are read', () => {
    const sources = ['settings.ts', 'listen-settings.ts', 'redis-settings.ts', 'mail-settings.ts'].map((name) =>
      fs.readFileSync(path.join(root, 'lib/core', name), 'utf8'),
    );
    const read = new Set(
      [...sources.join('\n').matchAll(/(?:'|^ {2})([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PORT|HOST|LISTEN|REDIS)[':]/gm)].map(
        (m) => m[1],
      ),
    );
    assert.deepEqual(variablesIn(settingsGuide).sort(), [...read].sort());
  });

  it('lists first settings that are in the reference', () => {
    const first = section('Settings');
    const known = variablesIn(settingsGuide);
    assert.deepEqual(
      variablesIn(first).filter((name) => !known.includes(name)),
      [],
    );
  });

  it('lists exactly the existing metrics', () => {
    const table = section('Metrics', opsGuide)
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .slice(1);
    const listed = table.flatMap((line) =>
      [...(line.split('|')[2] ?? '').matchAll(/`([a-z0-9_]+)`/g)].map((m) => m[1]),
    );
    assert.deepEqual(listed.map((name) => `catamount_${name}`).sort(), FAMILIES.map(({ name }) => name).sort());
  });

  it('shows a model and a transaction of the guestbook, on which test/guide-examples runs the examples', () => {
    const guide = section('Models and transactions', read('lib/web/README.md'));
    const blocks = [...guide.matchAll(/```js\n\/\/ (\S+)\n([\s\S]*?)```/g)];
    assert.equal(blocks.length, 2);
    for (const [, file = '', code = ''] of blocks)
      for (const part of code.split(/(?<=module\.exports = \(router, environment\) => \{\n)/))
        assert.ok(read(`test/fixtures/second-app/${file}`).includes(part.trimEnd()), part);
    const [, migration = ''] = /`(table\.timestamps\(.*?\))`/.exec(guide) ?? [];
    assert.ok(read('test/fixtures/second-app/migrations/20260101000000_create_entries.js').includes(migration || '?'));
  });

  it('adds a job that the registry accepts', async () => {
    const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(section('Add a job')) ?? [];
    const folder = tempFolder('readme');
    fs.writeFileSync(
      path.join(folder, 'greet-user.ts'),
      code.replace("'../lib'", JSON.stringify(path.join(root, 'lib/index'))),
    );
    assert.deepEqual(
      [...(await loadJobs(folder))].map((job) => job.name),
      ['GreetUserJob'],
    );
    removeFolder(folder);
  });

  it('shows a job class that the registry accepts, with its schedule', async () => {
    const folder = tempFolder('readme');
    fs.writeFileSync(path.join(folder, 'import.ts'), IMPORT_PRELUDE + importJob);
    const registry = await loadJobs(folder);
    assert.deepEqual(
      cronEntries(registry).map(({ name, policy, args }) => [name, policy, args]),
      [['ImportJob', 'once', ['nightly.csv']]],
    );
    removeFolder(folder);
  });

  describe('adds a mail', () => {
    const [mailer = '', use = '', setup = '', preview = ''] = [...mailGuide.matchAll(/```ts\n([\s\S]*?)```/g)].map(
      (match) => match[1],
    );
    const block = (language: string) => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(mailGuide)?.[1] ?? '';
    const [, shortest = ''] = /```ts\n([\s\S]*?)```/.exec(section('Add a mail')) ?? [];
    const [greet = '', enqueue = ''] = [...section('Add a job').matchAll(/```ts\n([\s\S]*?)```/g)].map(
      ([, code]) => code,
    );
    const app = path.join(root, 'lib/app');
    const door = JSON.stringify(path.join(root, 'lib/index'));
    let folder: string;
    before(() => {
      folder = tempFolder('readme');
      for (const shared of ['layouts', 'partials']) {
        fs.cpSync(path.join(app, 'mailers/templates', shared), path.join(folder, 'mailers/templates', shared), {
          recursive: true,
        });
      }
      const files = {
        'jobs/import.ts': IMPORT_PRELUDE + importJob,
        'mailers/order-mailer.ts': mailer.replace("'../../index'", door),
        'mailers/greeting-mailer.ts': shortest.replace("'../../index'", door),
        'mailers/previews/order-mailer-preview.ts': `import { MailerPreview } from ${door};
import { OrderMailer } from '../order-mailer';
${preview}`,
        'mailers/templates/order_mailer/placed/html.ejs': block('html'),
        'locales/en.json': block('json'),
        'mail-setup.ts': setup.replace("'../index'", door),
        'jobs/greet-user.ts': greet.replace("'../lib'", door),
        'enqueue.ts': `import GreetUserJob from './jobs/greet-user';
type User = { readonly id: string };
export async function enqueue(user: User, users: readonly User[]) {\n${enqueue}}`,
        'use.ts': `import { deliverAllLater } from ${door};
import { type Order, OrderMailer } from './mailers/order-mailer';
export async function use(order: Order, orders: readonly Order[]) {\n${use}}`,
        'tsconfig.json': JSON.stringify({
          extends: path.join(root, 'tsconfig.json'),
          compilerOptions: {
            typeRoots: [path.join(root, 'node_modules/@types')],
            // The types that an app sees; our sources are checked separately.
            paths: { [path.join(root, 'lib/index')]: [path.join(root, 'dist/lib/index.d.ts')] },
          },
          include: ['.'],
        }),
      };
      for (const [name, text] of Object.entries(files))
        writeFiles(folder, { [name]: text.replace(/^type/m, 'export type') });
    });
    after(() => removeFolder(folder));

    it('that compiles', () => {
      const tsc = path.join(root, 'node_modules/.bin/tsc');
      const { stdout, status } = spawnSync(tsc, ['--noEmit', '-p', folder], { encoding: 'utf8' });
      assert.equal(status, 0, stdout);
    });

    it('with jobs that are enqueued', async () => {
      const { enqueue } = require(path.join(folder, 'enqueue')) as {
        enqueue(user: { readonly id: string }, users: readonly { readonly id: string }[]): Promise<void>;
      };
      const { default: GreetUserJob } = require(path.join(folder, 'jobs/greet-user')) as {
        default: Parameters<typeof assertEnqueued>[0];
      };
      const routes = async () => ({ default: () => undefined });
      const jobs = await useFakeJobs({ app: defineApp({ name: 'shop', root: folder, routes }) });
      try {
        await enqueue({ id: '7' }, [{ id: '8' }, { id: '9' }]);
        assertEnqueued(GreetUserJob, { times: 4 });
      } finally {
        await jobs.restore();
      }
    });

    it('that arrives as described', async () => {
      const { OrderMailer } = require(path.join(folder, 'mailers/order-mailer')) as { OrderMailer: OrderMailers };
      const mails = await useTestMail({
        app: defineApp({
          name: 'shop',
          root: folder,
          routes: async () => ({ default: () => undefined }),
          mailSetup: async () => require(path.join(folder, 'mail-setup')) as { default: MailSetup },
        }),
      });
      const { log } = console;
      const logged: unknown[] = [];
      try {
        console.log = (line) => logged.push(line);
        process.env.STAGING = 'yes';
        const invoiceFile = path.join(folder, 'invoice.pdf');
        fs.writeFileSync(invoiceFile, 'an invoice');
        const customer = { name: 'Ada', email: 'ada@example.com' };
        await OrderMailer.with({ shop: 'Seoul' }).placed({ number: '7', invoiceFile, customer }).deliverNow();
        const [mail] = deliveries();
        assert.equal(mail?.subject, 'Your order 7');
        assert.deepEqual(mail?.to, [{ name: '', address: 'staging@shop.example' }]);
        assert.deepEqual(mail?.replyTo, [{ name: '', address: 'help@shop.example' }]);
        assert.deepEqual(mail?.attachments, [{ name: 'invoice.pdf', content: Buffer.from('an invoice') }]);
        assert.match(
          mail?.html ?? '',
          /<a class="btn" href="http:\/\/localhost:3000\/orders\/7" style="[^"]+">See your order<\/a>/,
        );
        assert.match(mail?.text ?? '', /Seoul is packing it\./);
        assert.deepEqual(logged, ['sent: Your order 7']);
      } finally {
        console.log = log;
        delete process.env.STAGING;
        await mails.restore();
      }
    });
  });
});
