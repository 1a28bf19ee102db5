const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;

/**
 * An app whose job gets a model and passes it to a mailer. Both report whether it is an instance of the class that their own
 * file imports. Imports have the extension `.ts`, which Node needs and tsc rewrites. It uses only erasable TypeScript syntax,
 * so that Node can strip the types.
 */
export const APP: Readonly<Record<string, string>> = {
  'package.json': json({
    name: 'shop',
    private: true,
    type: 'module',
    dependencies: { catamount: 'file:../catamount.tgz' },
    devDependencies: { '@types/koa': '*', '@types/node': '*', mocha: '*', tsx: '*', typescript: '*' },
  }),
  'tsconfig.json': json({
    compilerOptions: {
      target: 'es2023',
      module: 'nodenext',
      types: ['node'],
      rootDir: '.',
      outDir: 'dist',
      strict: true,
      erasableSyntaxOnly: true,
      rewriteRelativeImportExtensions: true,
      skipLibCheck: true,
    },
    include: ['*.ts', 'jobs', 'mailers', 'migrations', 'models'],
  }),
  'babel.config.cjs': `module.exports = {
  presets: [['@babel/preset-env', { targets: { node: 'current' } }], ['@babel/preset-typescript', { allowDeclareFields: true }]],
};
`,
  'server.ts': `import { boot } from 'catamount';
import app from './app.ts';

void boot(app);
`,
  'app.ts': `import { defineApp } from 'catamount';

export default defineApp({
  name: 'shop',
  root: process.cwd(),
  routes: () => import('./routes.ts'),
  models: 'models',
  ...(process.env.VITEST && { import: (file: string) => import(file) }),
});
`,
  'routes.ts': `import { type Routes, transaction } from 'catamount';
import GreetJob from './jobs/greet.ts';
import { User } from './models/user.ts';

const routes: Routes = (router) => {
  router.post('/users', async (ctx) => {
    const { email, name } = ctx.request.body as { email: string; name: string };
    await transaction(async () => {
      const user = await User.query().insert({ email, name });
      await GreetJob.performLater(user);
    });
    ctx.status = 201;
  });
};

export default routes;
`,
  'models/user.ts': `import { Model } from 'catamount';

export class User extends Model {
  static override readonly tableName = 'users';
  declare id: string;
  declare email: string;
  declare name: string;
}
`,
  'jobs/greet.ts': `import { Job } from 'catamount';
import { UserMailer } from '../mailers/user-mailer.ts';
import { User } from '../models/user.ts';

export default class GreetJob extends Job<[user: User]> {
  async perform(user: User): Promise<void> {
    await UserMailer.greet(user, user instanceof User).deliverNow();
  }
}
`,
  'mailers/user-mailer.ts': `import { Mailer } from 'catamount';
import { User } from '../models/user.ts';

const which = (isOurs: boolean) => (isOurs ? 'the same User' : 'another User');

export class UserMailer extends Mailer {
  static override readonly layout = false;
  static readonly greet = this.action('greet');

  greet(user: User, isOfTheJob: boolean) {
    const locals = { name: user.name, inJob: which(isOfTheJob), inMailer: which(user instanceof User) };
    return this.mail({ to: user.email, subject: 'Hello', locals });
  }
}
`,
  'mailers/templates/user_mailer/greet/html.ejs': `<p>Hello, <%= name %>: <%= inJob %> in the job, <%= inMailer %> in the mailer</p>
`,
  'mailers/templates/user_mailer/greet/text.ejs': `Hello, <%= name %>: <%= inJob %> in the job, <%= inMailer %> in the mailer
`,
  'migrations/20260101000000_create_users.ts': `import type { Knex } from 'knex';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('users', (table) => {
    table.bigIncrements('id');
    table.text('email');
    table.text('name');
    table.timestamps(true, true);
  });
}

export async function down(knex: Knex): Promise<void> {
  await knex.schema.dropTable('users');
}
`,
};

/** The first line of a test for each runner; the functions of mocha and Jest are global. */
const HEADS = {
  node: "import { test } from 'node:test';",
  mocha: 'const test = it;',
  vitest: "import { test } from 'vitest';",
  jest: '',
} as const;

/** The test of the app; only the first line depends on the runner. */
export function testOf(runner: keyof typeof HEADS): string {
  return `${HEADS[runner]}
import assert from 'node:assert/strict';
import { captureEmails, performEnqueuedJobs, request, useFakeJobs, useTestDatabase, useTestMail } from 'catamount/testing';
import app from '../app.ts';
import GreetJob from '../jobs/greet.ts';
import { User } from '../models/user.ts';

test('greets, with one class of each', async () => {
  const database = await useTestDatabase({ app });
  const mail = await useTestMail({ app });
  await database.begin();
  const jobs = await useFakeJobs({ app });
  try {
    await GreetJob.performLater(await User.query().insert({ email: 'ada@example.com', name: 'Ada' }));
    const answer = await request(app).post('/users', { json: { email: 'bob@example.com', name: 'Bob' } });
    assert.equal(answer.status, 201, answer.text);
    const sent = await captureEmails(() => performEnqueuedJobs());
    for (const [index, name] of ['Ada', 'Bob'].entries())
      assert.match(sent[index].text, new RegExp(\`Hello, \${name}: the same User in the job, the same User in the mailer\`));
  } finally {
    await jobs.restore();
    await database.rollBack();
    await mail.restore();
    await database.close();
  }
});
`;
}
