import pino, { type DestinationStream, type Logger } from 'pino';
import type { Config } from './config';
import { currentContext } from './execution-context';

export type { Logger };

/** The logger of one process; each line names it (`web.0`, `jobs`, `primary`) and carries the running request or job. */
export function createLogger(config: Pick<Config, 'log'>, processName: string, destination: DestinationStream): Logger {
  return pino(
    {
      level: config.log.level,
      base: { process: processName, pid: process.pid },
      mixin: () => ({ ...currentContext() }),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}
