import fs from 'node:fs';
import path from 'node:path';
import { TABLES } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import { QUEUE_NAME } from '../../job/definition/options';
import { DeliverMailJob } from '../../mailer/deliver-mail-job';
import { Mailer, MailerPreview } from '../../mailer/mailer';
import type { AppLayout } from '../app/app-layout';
import { type Field, parseFields } from './fields';
import { parseArguments } from './job-arguments';
import { type Name, nameTaken, parseName, plural, requireOnce } from './names';
import { renderSource, renderText } from './render-source';

export interface GeneratedFile {
  /** The path, relative to the app's folder. The name of a migration contains its time. */
  readonly file: string;
  readonly content: string;
  /** The name of a migration without its time, by which an earlier one of that name is found. */
  readonly migrationName?: string;
}

export interface Request {
  readonly name: string | undefined;
  /** The words after the name: actions, fields or arguments. */
  readonly rest: readonly string[];
  readonly queue: string | undefined;
  readonly now: Date;
}

export interface Plan {
  readonly files: readonly GeneratedFile[];
  /** What remains to be done by hand, printed after the list. */
  readonly remark?: string;
}

export interface Generator {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  readonly example: string;
  readonly plan: (request: Request, layout: AppLayout) => Plan;
}

/** Queues that a tree serves by default, without JOB_QUEUES. */
const SERVED = ['default', 'mailer'];

const USED_BY_MODELS = ['Date', 'Model', 'TestDatabase'];

/** Methods that a mailer may have, and which are no actions. */
const CALLBACKS: readonly string[] = [
  'beforeAction',
  'afterAction',
  'beforeDeliver',
  'afterDeliver',
] satisfies (keyof Mailer)[];

const join = path.posix.join;

export const GENERATORS: readonly Generator[] = [
  {
    name: 'job',
    usage: 'job NAME [ARGUMENT[:TYPE]…] [--queue QUEUE]',
    help: 'a job, and its test; types: string (the default), number, boolean, Date, bigint',
    example: 'job WelcomeEmail userId --queue mailer',
    plan: planJob,
  },
  {
    name: 'mailer',
    usage: 'mailer NAME ACTION…',
    help: 'a mailer with templates, previews and a test of each action',
    example: 'mailer UserMailer welcome',
    plan: planMailer,
  },
  {
    name: 'model',
    usage: 'model NAME [FIELD[:TYPE][?]…]',
    help: 'a model, its migration, and its test; ? allows null. Types: text (the default), integer, bigint, decimal, boolean, timestamp, uuid, json',
    example: 'model Post title views:integer publishedAt:timestamp?',
    plan: planModel,
  },
  {
    name: 'migration',
    usage: 'migration NAME [FIELD[:TYPE][?]…]',
    help: 'a migration; create_posts and add_slug_to_posts are written out if fields are given',
    example: 'migration add_slug_to_posts slug?',
    plan: planMigration,
  },
];

function planJob({ name, rest, queue }: Request, layout: AppLayout): Plan {
  const { kebab, pascal } = parseName('job', name, 'WelcomeEmail', 'Job');
  if (`${pascal}Job` === DeliverMailJob.name)
    throw nameTaken('job', `There already is a class ${pascal}Job, which sends mails`);
  const args = parseArguments(rest);
  if (queue !== undefined && !QUEUE_NAME.test(queue)) {
    throw new UserError(
      `${JSON.stringify(queue)} is not the name of a queue. Give letters, digits, - and _, such as mailer.`,
      EXIT.usage,
    );
  }
  const file = join(layout.jobs, kebab);
  const values = { job: `${pascal}Job`, args, queue, file, manifest: layout.manifest };
  return {
    files: [source(layout, 'job', file, values), test(layout, 'job-test', 'jobs', kebab, values)],
    ...(queue !== undefined &&
      !SERVED.includes(queue) && {
        remark: `No tree serves the queue ${queue} yet: set JOB_QUEUES=default,mailer,${queue}`,
      }),
  };
}

function planMailer(request: Request, layout: AppLayout): Plan {
  const { kebab, snake, pascal } = parseName('mailer', request.name, 'UserMailer welcome', 'Mailer');
  const actions = parseActions(request.rest);
  if (actions.length === 0) {
    throw new UserError(
      'A mailer needs an action. For example: catamount generate mailer UserMailer welcome',
      EXIT.usage,
    );
  }
  const file = join(layout.mailers, `${kebab}-mailer`);
  const hasLayout = fs.existsSync(path.join(layout.folder, layout.templates, 'layouts/mailer/html.ejs'));
  const values = { mailer: `${pascal}Mailer`, actions, hasLayout, file, manifest: layout.manifest };
  const templates = actions.flatMap((action) =>
    ['html', 'text'].map((part) => ({
      file: join(layout.templates, `${snake}_mailer`, action.snake, `${part}.ejs`),
      content: renderText(`mail-${part}`, { action }),
    })),
  );
  return {
    files: [
      source(layout, 'mailer', file, values),
      ...templates,
      source(layout, 'preview', join(layout.previews, `${kebab}-mailer-preview`), values),
      test(layout, 'mailer-test', 'mailers', `${kebab}-mailer`, values),
    ],
  };
}

function planModel({ name, rest, now }: Request, layout: AppLayout): Plan {
  const { kebab, snake, pascal } = parseName('model', name, 'Post title:text');
  if (USED_BY_MODELS.includes(pascal)) throw nameTaken('model', `There already is a class ${pascal}`);
  const fields = parseFields(rest);
  const file = join(layout.models, kebab);
  const table = plural(snake);
  requireOwnTable('model', table);
  const values = { model: pascal, table, fields, file, manifest: layout.manifest };
  return {
    files: [
      source(layout, 'model', file, values),
      ...(layout.migrations === false ? [] : [migration(layout, layout.migrations, `create_${table}`, fields, now)]),
      test(layout, 'model-test', 'models', kebab, values),
    ],
    ...(layout.migrations !== false && { remark: howToRun(layout) }),
  };
}

function howToRun({ typescript }: AppLayout): string {
  const build = typescript ? 'npm run build && ' : '';
  return `The migration runs by ${build}npx catamount db migrate, or when the app is started by npm start or catamount dev.`;
}

function planMigration({ name, rest, now }: Request, layout: AppLayout): Plan {
  const { snake } = parseName('migration', name, 'add_slug_to_posts slug:text');
  const fields = parseFields(rest);
  requireOwnTable('migration', parseChange(snake, fields).table);
  if (fields.length > 0 && parseChange(snake, fields).kind === 'other') {
    throw new UserError(
      `A migration with fields is named create_TABLE or add_…_to_TABLE, such as add_slug_to_posts; it is ${snake}.`,
      EXIT.usage,
    );
  }
  if (layout.migrations === false) {
    const why = `${layout.manifest} says migrations: false, so a tool of the app's own writes and runs its migrations`;
    throw new UserError(`${why}. Use that tool, or name a folder there.`, EXIT.usage);
  }
  return { files: [migration(layout, layout.migrations, snake, fields, now)], remark: howToRun(layout) };
}

function parseActions(words: readonly string[]): Name[] {
  const actions = words.map((action) => parseName('action', action, 'welcome'));
  const names = actions.map(({ camel }) => camel);
  requireOnce('action', names);
  for (const name of names) {
    const isMailers = name in Mailer || name in Mailer.prototype || CALLBACKS.includes(name);
    if (isMailers) throw nameTaken('action', `Every mailer already has ${name}`);
    if (name === 'locale' || name in MailerPreview.prototype)
      throw nameTaken('action', `Every preview already has ${name}`);
  }
  return actions;
}

function requireOwnTable(what: string, table: string): void {
  if (Object.values(TABLES).includes(table)) throw nameTaken(what, `The table ${table} is one of Catamount's own`);
}

function extended({ typescript }: AppLayout, file: string): string {
  return `${file}${typescript ? '.ts' : '.js'}`;
}

function source(layout: AppLayout, template: string, file: string, values: object): GeneratedFile {
  return { file: extended(layout, file), content: renderSource(template, file, layout, values) };
}

function test(layout: AppLayout, template: string, folder: string, name: string, values: object): GeneratedFile {
  return source(layout, template, join('test', folder, `${name}.test`), values);
}

interface Change {
  readonly kind: 'create' | 'add' | 'other';
  readonly table: string;
}

function parseChange(name: string, fields: readonly Field[]): Change {
  const created = /^create_(\w+)$/.exec(name)?.[1];
  if (created !== undefined) return { kind: 'create', table: created };
  const altered = /^add_\w+_to_(\w+)$/.exec(name)?.[1];
  if (altered !== undefined && fields.length > 0) return { kind: 'add', table: altered };
  return { kind: 'other', table: '' };
}

function migration(
  layout: AppLayout,
  folder: string,
  name: string,
  fields: readonly Field[],
  now: Date,
): GeneratedFile {
  const file = join(folder, `${timeFor(path.join(layout.folder, folder), now)}_${name}`);
  const values = { change: parseChange(name, fields), fields };
  return { ...source(layout, 'migration', file, values), migrationName: name };
}

/** @returns the time for the name of a new migration: now, but after the last one, since they run in order of name. */
function timeFor(home: string, now: Date): string {
  const times = (fs.existsSync(home) ? fs.readdirSync(home) : []).map((name) => Number(/^\d{14}(?=_)/.exec(name)?.[0]));
  const last = Math.max(0, ...times.filter((time) => !Number.isNaN(time)));
  return String(Math.max(Number(now.toISOString().replace(/\D/g, '').slice(0, 14)), last + 1));
}
