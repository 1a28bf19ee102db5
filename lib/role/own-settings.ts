import { type Config, environment } from '../core/config';
import { fileBehindOutput } from '../core/logging';
import { readSettings } from '../core/settings';
import { toError } from '../support/async';

/** The settings of a process that no primary has started. @throws UserError that names each wrong one. */
export function ownSettings(only?: string): Config {
  return readSettings({
    env: environment(),
    cwd: process.cwd(),
    only,
    isTty: process.stdout.isTTY === true,
    logFile: fileBehindOutput(),
  });
}

/**
 * The settings of a tree that starts here. Where none of them names a Redis, and none comes along for a developer's machine, it is
 * off, and a warning says what that costs and how to have one.
 */
export async function settingsOfTree(only?: string): Promise<Config> {
  const config = ownSettings(only);
  if (config.redisUrl !== null || config.redisOff) return config;
  // Never loaded in production, where readSettings requires a URL or REDIS=off.
  const { redisBinary } = await import('../embedded/find-binaries');
  const why = await redisBinary().then(
    () => undefined,
    (error: unknown) => toError(error).message,
  );
  if (why === undefined) return config;
  return { ...config, redisOff: true, warnings: [...config.warnings, `It starts without Redis: ${why}`] };
}
