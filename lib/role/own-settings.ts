import { type Config, environment } from '../core/config';
import { fileBehindOutput } from '../core/logging';
import { readSettings } from '../core/settings';

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
