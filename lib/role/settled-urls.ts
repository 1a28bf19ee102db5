import { lookAt } from '../control/primary-process';
import { readState } from '../control/state-file';
import type { Config } from '../core/config';
import { EXIT, UserError } from '../core/errors';

/**
 * The URLs for a process that no primary has started: of the settings, or of the embedded servers that run in this folder.
 * @throws UserError, exit code 69, when there are neither.
 */
export async function settledUrls(config: Config): Promise<{ readonly database: string; readonly redis: string }> {
  const { databaseUrl, redisUrl, stateDir } = config;
  if (databaseUrl !== null && redisUrl !== null) return { database: databaseUrl, redis: redisUrl };
  // Never loaded in production, where readSettings insists on both URLs.
  const { findRunningServers } = await import('../embedded/running-servers');
  const running = await findRunningServers(stateDir);
  return {
    database: databaseUrl ?? running.databaseUrl ?? absent(config, 'DATABASE_URL', 'Postgres'),
    redis: redisUrl ?? running.redisUrl ?? absent(config, 'REDIS_URL', 'Redis'),
  };
}

function absent({ control, stateDir }: Config, variable: string, server: string): never {
  const why = `${variable} is not set, and no embedded ${server} runs in ${stateDir}`;
  const state = readState(control.stateFile);
  const advice =
    state && lookAt(state.pid) === 'alive'
      ? `The tree that runs here, pid ${state.pid}, has a ${server} of its own: set ${variable} as it is set there`
      : `Start the tree (npm start), go to its folder, or set ${variable}`;
  throw new UserError(`${why}. ${advice}.`, EXIT.unavailable);
}
