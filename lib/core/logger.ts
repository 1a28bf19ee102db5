import pino, { type DestinationStream, type Logger } from 'pino';
import type { Config } from './config';
import { currentContext } from './execution-context';

export type { Logger };

/**
 * The logger of one process; each line names it (`web.0`, `jobs`, `primary`) and carries the running request or job.
 * @param out where lines go. Default: standard output, written at once so that a crash loses none.
 */
export function createLogger(config: Pick<Config, 'log'>, processName: string, out?: DestinationStream): Logger {
  return pino(
    {
      level: config.log.level,
      base: { process: processName, pid: process.pid },
      mixin: () => ({ ...currentContext() }),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    out ?? (config.log.format === 'pretty' ? prettyStream() : pino.destination({ fd: 1, sync: true })),
  );
}

function prettyStream(): DestinationStream {
  // Loaded only where a person reads: JSON logs do without its 2 MiB.
  const pretty = require('pino-pretty') as typeof import('pino-pretty');
  return pretty({
    sync: true,
    colorize: process.stdout.isTTY === true,
    translateTime: 'SYS:HH:MM:ss.l',
    // The message says it already, or it is for machines.
    ignore:
      'pid,process,requestId,jobId,jobClass,attempt,locale,method,path,status,durationMs,queuedMs,remoteAddress,messageId',
    messageFormat: '[{process}] {msg}',
    singleLine: true,
  });
}
