import { type Config, environment } from '../../core/config';
import { UserError } from '../../core/errors';
import { readSettings } from '../../core/settings';

/** What is different without Redis, as the end of a sentence. */
export const WITHOUT_REDIS =
  'each process counts rate limits for itself, broadcasts stay in their tree, and /ops has no charts and knows no other tree.';

/** The settings of a process that no primary has started. @throws UserError that names each wrong one. */
export function ownSettings(only?: string): Config {
  return readSettings({
    env: environment(),
    cwd: process.cwd(),
    only,
    isTty: process.stdout.isTTY === true,
  });
}

/**
 * The settings of a tree that starts here. Redis is off where no setting names one and none comes along for a developer's
 * machine. A warning then says what that costs and how to have one.
 */
export async function settingsOfTree(only?: string): Promise<Config> {
  const config = ownSettings(only);
  if (config.redisUrl !== null || config.redisOff) return config;
  // Never loaded in production, where readSettings requires a URL or REDIS=off.
  const { redisBinary } = await import('../../embedded/find-binaries');
  try {
    await redisBinary();
    return config;
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown;
    const warning = `${thrown.message} Until then Redis is off: ${WITHOUT_REDIS}`;
    return { ...config, redisOff: true, warnings: [...config.warnings, warning] };
  }
}
