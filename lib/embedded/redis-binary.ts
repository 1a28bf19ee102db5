import fs from 'node:fs';
import path from 'node:path';
import { environment } from '../core/environment';
import { EXIT, UserError } from '../core/errors';
import { howToInstall, PLATFORM, packageFolder } from './packages';
import { run } from './server-process';

/** The job queue moves jobs with BLMOVE, which Redis has since 6.2. */
const OLDEST: readonly [number, number] = [6, 2];
/** Where npm has one. */
const PACKAGED = ['linux-x64'];
const NAMES = ['redis-server', 'valkey-server'];

/**
 * A server installed on the machine, else the one from npm.
 * @throws UserError when there is none, or only one that is too old.
 */
export async function redisBinary(
  searchPath: string = environment().PATH ?? '',
  locate: typeof packageFolder = packageFolder,
): Promise<string> {
  const tooOld: string[] = [];
  for (const binary of onPath(searchPath)) {
    const version = await versionOf(binary);
    if (version !== undefined && isRecent(version)) return binary;
    if (version !== undefined) tooOld.push(`${binary} is version ${version}`);
  }
  const name = `@falkordblite/${PLATFORM}`;
  const folder = locate(name);
  if (folder !== undefined) return path.join(folder, 'bin', 'redis-server');
  throw new UserError(
    `No redis-server ${OLDEST.join('.')} or newer for ${PLATFORM}${tooOld.length > 0 ? ` (${tooOld.join(', ')})` : ''}. ` +
      `Install one (${process.platform === 'darwin' ? 'brew install redis' : 'apt-get install redis-server'}), ` +
      `${PACKAGED.includes(PLATFORM) ? `run ${howToInstall(name)}, ` : ''}or set REDIS_URL to a Redis of your own, such as redis://localhost:6379.`,
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

/** `Redis server v=7.0.15 sha=…`, `Valkey server v=8.0.1 …` */
async function versionOf(binary: string): Promise<string | undefined> {
  const output = await run({ argv: [binary, '--version'] }).catch(() => '');
  return /\bv=(\d+\.\d+[.\d]*)/.exec(output)?.[1];
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}
