import { EXIT, UserError } from '../../core/errors';
import type { AppLayout } from '../app/app-layout';
import { catamountSource, ownManifest } from './catamount-source';
import type { GeneratedFile } from './generators';
import type { PackageManager } from './install-packages';
import { renderSource, renderText } from './render-source';

export interface NewApp {
  readonly name: string;
  readonly folder: string;
  readonly typescript: boolean;
  readonly esm: boolean;
  readonly manager: PackageManager;
  readonly now: Date;
}

/** @throws UserError for a name that defineApp or npm would reject. */
export function checkAppName(name: string | undefined): string {
  if (name === undefined) throw new UserError('new needs a name. For example: catamount new shop', EXIT.usage);
  if (!/^[a-z][a-z0-9_-]{0,60}$/.test(name)) {
    throw new UserError(
      `${JSON.stringify(name)} is not the name of an app. Give lower-case letters, digits, - and _, beginning with a letter, such as shop.`,
      EXIT.usage,
    );
  }
  if (name === 'node_modules')
    throw new UserError(`"${name}" is the folder of installed packages. Give another name, such as shop.`, EXIT.usage);
  return name;
}

/** @returns the files of a new app, in which a sign-up sends a mail. */
export function newApp({ name, folder, typescript, esm, manager, now }: NewApp): GeneratedFile[] {
  const layout: AppLayout = {
    folder,
    typescript,
    esm,
    extension: esm ? '.js' : '',
    manifest: 'lib/app',
    jobs: 'jobs',
    models: 'lib/models',
    migrations: 'migrations',
    mailers: 'lib/mailers',
    previews: 'lib/mailers/previews',
    templates: 'lib/mailers/templates',
  };
  const title = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  const values = { name, title, ts: typescript, esm, dirname: esm ? 'import.meta.dirname' : '__dirname' };
  const mailer = { mailer: 'UserMailer', actions: [{ camel: 'welcome' }], file: 'lib/mailers/user-mailer' };
  const source = (template: string, file: string, more: object = values) => ({
    file: `${file}.${typescript ? 'ts' : 'js'}`,
    content: renderSource(template, file, layout, more),
  });
  const text = (template: string, file: string) => ({ file, content: renderText(`new/${template}`, values) });
  const time = now.toISOString().replace(/\D/g, '').slice(0, 14);
  return [
    { file: 'package.json', content: formatJson(packageJson({ name, folder, typescript, esm })) },
    ...(typescript ? [text('tsconfig', 'tsconfig.json')] : []),
    text('procfile', 'Procfile'),
    text('readme', 'README.md'),
    text('gitignore', '.gitignore'),
    // Since its release 11, pnpm fails unless each install script is allowed or not.
    ...(manager === 'pnpm' ? [text('pnpm-workspace', 'pnpm-workspace.yaml')] : []),
    text('biome', '.biome.json'),
    // In a package of their own, since npm would otherwise reject the servers for other platforms.
    text('local-servers', '.config/local-servers/package.json'),
    source('new/server', 'server'),
    source('new/app', 'lib/app'),
    source('new/routes', 'lib/routes/index'),
    source('new/users', 'lib/routes/users'),
    source('new/sign-up', 'lib/services/sign-up'),
    source('new/user', 'lib/models/user'),
    source('new/user-mailer', 'lib/mailers/user-mailer'),
    source('preview', 'lib/mailers/previews/user-mailer-preview', mailer),
    text('layout-html', 'lib/mailers/templates/layouts/mailer/html.ejs'),
    text('layout-text', 'lib/mailers/templates/layouts/mailer/text.ejs'),
    text('mail-html', 'lib/mailers/templates/user_mailer/welcome/html.ejs'),
    text('mail-text', 'lib/mailers/templates/user_mailer/welcome/text.ejs'),
    text('texts', 'lib/locales/en.json'),
    source('new/welcome-email', 'jobs/welcome-email'),
    source('new/create-users', `migrations/${time}_create_users`),
    source('new/sign-up-test', 'test/services/sign-up.test'),
  ];
}

/** Puts lists on one line, as formatters do with short ones. */
function formatJson(value: object): string {
  const text = JSON.stringify(value, null, 2).replace(/\[\n\s+([^[\]{}]+?)\n\s+\]/g, (_, items: string) => {
    return `[${items.split(/\n\s*/).join(' ')}]`;
  });
  return `${text}\n`;
}

function packageJson({ name, folder, typescript, esm }: Omit<NewApp, 'manager' | 'now'>): object {
  const { devDependencies = {} } = ownManifest();
  const tools = ['@biomejs/biome', ...(typescript ? ['@types/koa', '@types/node', 'tsx', 'typescript'] : [])];
  const extension = typescript ? 'ts' : 'js';
  // Node 20 expands no patterns, and a shell without globstar none of any depth.
  const tests = `--test --test-concurrency=1 $(find test -name '*.test.${extension}')`;
  return {
    name,
    version: '0.1.0',
    private: true,
    ...(esm && { type: 'module' }),
    engines: { node: '>=20.19 <27' },
    scripts: {
      ...(typescript && {
        build: `rm -rf dist && tsc && cp -R lib/locales dist/lib/ && cp -R lib/mailers/templates dist/lib/mailers/`,
        prestart: 'npm run build',
        typecheck: 'tsc --noEmit',
      }),
      start: `exec node ${typescript ? 'dist/' : ''}server.js`,
      dev: 'exec catamount dev',
      test: typescript ? `node --import=tsx ${tests}` : `node ${tests}`,
      lint: 'biome check .',
      format: 'biome check --write .',
    },
    dependencies: { catamount: catamountSource(folder) },
    devDependencies: {
      ...Object.fromEntries(tools.map((tool) => [tool, devDependencies[tool] ?? '*'])),
      'catamount-local-servers': 'file:.config/local-servers',
    },
  };
}
