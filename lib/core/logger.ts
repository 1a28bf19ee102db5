import pino, { type DestinationStream, type Logger } from 'pino';
import type { Config } from './config';
import { currentContext } from './execution-context';
import { LogFilter } from './log-filter';

export type { Logger };

/**
 * The logger of one process; each line names it (`web.0`, `jobs`, `primary`) and carries the running request or job.
 * @param filter hides what attributes and errors have of secrets and of people's data.
 */
export function createLogger(
  config: Pick<Config, 'log'>,
  processName: string,
  destination: DestinationStream,
  filter = new LogFilter(),
): Logger {
  return pino(
    {
      level: config.log.level,
      base: { process: processName, pid: process.pid },
      mixin: () => {
        const context = { ...currentContext() };
        return context.attributes ? { ...context, attributes: filter.attributes(context.attributes) } : context;
      },
      serializers: { err: (error: unknown) => (error instanceof Error ? filter.error(error) : error) },
      timestamp: isoTime(),
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}

/** As pino's own, down to the millisecond, for a fraction of its price: a line's date and minute are those of the last one. */
export function isoTime(now: () => number = Date.now): () => string {
  const MINUTE = 60_000;
  let minute = Number.NaN;
  let begun = '';
  return () => {
    const ms = now();
    const since = ms % MINUTE;
    if (ms - since !== minute) {
      minute = ms - since;
      begun = new Date(ms).toISOString().slice(0, 'yyyy-mm-ddThh:mm:'.length);
    }
    // 1SSmmm: the 1 keeps the zeros.
    const digits = String(100_000 + since);
    return `,"time":"${begun}${digits.slice(1, 3)}.${digits.slice(3)}Z"`;
  };
}
