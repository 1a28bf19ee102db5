import fs from 'node:fs';
import path from 'node:path';
import { EXIT, UserError } from '../../core/errors';

/** The language of an app, and where its parts are. Paths are relative to its folder, with `/`. */
export interface AppLayout {
  /** The folder of package.json. */
  readonly folder: string;
  readonly typescript: boolean;
  /** true if `type` of package.json makes ES modules of `.js` files. */
  readonly esm: boolean;
  /** The extension that imports are written with; empty for CommonJS. */
  readonly extension: '' | '.js' | '.ts';
  readonly runner: TestRunner;
  /** The file that calls `defineApp`, without its extension. */
  readonly manifest: string;
  readonly jobs: string;
  readonly models: string;
  /** false if the manifest leaves migrations to a tool of the app's own. */
  readonly migrations: string | false;
  readonly mailers: string;
  readonly previews: string;
  readonly templates: string;
  readonly routes: string;
  readonly tests: string;
}

export type TestRunner = 'node' | 'vitest' | 'jest' | 'mocha';

/** Files that may be an app's manifest, in the order in which they are tried. */
const MANIFESTS = ['app', 'lib/app', 'src/app', 'app/index', 'lib/app/index', 'src/app/index', 'server', 'src/server'];
const EXTENSIONS = ['.ts', '.js', '.mts', '.mjs', '.cts', '.cjs'];

interface Manifest {
  readonly file: string;
  readonly extension: string;
  readonly text: string;
}

/**
 * Reads the app's layout from package.json, tsconfig.json and the source of its manifest, without running it, so that
 * files can be added to an app that is broken or not built.
 * @throws UserError if the folder contains no app.
 */
export function readLayout(folder: string): AppLayout {
  const packageJson = readPackage(folder);
  const manifest = findManifest(folder);
  const typescript = manifest.extension.endsWith('ts');
  const esm = packageJson.type === 'module';
  const root = rootOf(manifest);
  const option = (name: string, standard: string) => {
    const given = new RegExp(`\\b${name}:\\s*(['"\`])([^'"\`$]+)\\1`).exec(manifest.text)?.[2] ?? standard;
    return path.posix.join(root, given);
  };
  const mailers = option('mailers', 'mailers');
  return {
    folder,
    typescript,
    esm,
    extension: importExtension(folder, typescript, esm),
    runner: runnerOf(packageJson.scripts?.test ?? ''),
    manifest: manifest.file,
    jobs: option('jobs', 'jobs'),
    models: option('models', 'models'),
    migrations: !/\bmigrations:\s*false\b/.test(manifest.text) && option('migrations', 'migrations'),
    mailers,
    previews: option('previews', path.posix.join(path.posix.relative(root, mailers), 'previews')),
    templates: option('templates', 'mailers/templates'),
    routes: routesOf(folder, manifest),
    tests: 'test',
  };
}

interface PackageJson {
  readonly type?: string;
  readonly scripts?: { readonly test?: string };
}

function readPackage(folder: string): PackageJson {
  const file = path.join(folder, 'package.json');
  if (!fs.existsSync(file)) {
    throw new UserError(`There is no package.json in ${folder}. Go to the folder of your app.`, EXIT.usage);
  }
  try {
    const parsed: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) throw new Error('it is not an object');
    return parsed;
  } catch (error) {
    throw new UserError(`${file} is not a valid package.json: ${error instanceof Error ? error.message : error}.`);
  }
}

function findManifest(folder: string): Manifest {
  for (const file of MANIFESTS) {
    for (const extension of EXTENSIONS) {
      const whole = path.join(folder, `${file}${extension}`);
      if (!fs.existsSync(whole)) continue;
      const text = fs.readFileSync(whole, 'utf8');
      if (/\bdefineApp\(/.test(text)) return { file, extension, text };
    }
  }
  throw new UserError(
    `No file in ${folder} calls defineApp (tried ${MANIFESTS.join(', ')}). Go to the folder of your app.`,
    EXIT.usage,
  );
}

/** The manifest's `root`, relative to the app's folder: `__dirname`, or a path resolved against it. */
function rootOf({ file, text }: Manifest): string {
  const here = path.posix.dirname(file);
  const up = /\broot:[^,\n]*(?:__dirname|import\.meta\.dirname)\s*,\s*(['"`])([./]+)\1/.exec(text)?.[2] ?? '.';
  return path.posix.join(here, up);
}

/** The folder of the module that the manifest's `routes` imports. */
function routesOf(folder: string, { file, text }: Manifest): string {
  const imported = /\broutes:[^,\n]*(?:import|require)\(\s*(['"`])([^'"`]+)\1/.exec(text)?.[2] ?? './routes';
  const target = path.posix.join(path.posix.dirname(file), imported).replace(/\.[cm]?[jt]s$/, '');
  if (path.posix.basename(target) === 'index') return path.posix.dirname(target);
  const isFolder = fs.existsSync(path.join(folder, target)) && fs.statSync(path.join(folder, target)).isDirectory();
  return isFolder || path.posix.basename(target) === 'routes' ? target : path.posix.dirname(target);
}

function importExtension(folder: string, typescript: boolean, esm: boolean): AppLayout['extension'] {
  if (!typescript) return esm ? '.js' : '';
  const file = path.join(folder, 'tsconfig.json');
  const tsconfig = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  // Node or a bundler runs the sources directly.
  if (/"(?:allowImportingTsExtensions|rewriteRelativeImportExtensions)":\s*true/.test(tsconfig)) return '.ts';
  return esm ? '.js' : '';
}

function runnerOf(script: string): TestRunner {
  return (['vitest', 'jest', 'mocha'] as const).find((name) => new RegExp(`\\b${name}\\b`).test(script)) ?? 'node';
}
