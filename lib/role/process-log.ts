import type { Config } from '../core/config';
import { DescriptorWatch } from '../core/descriptor-watch';
import { toError } from '../core/errors';
import { Events } from '../core/events';
import { openLogDestination } from '../core/log-destination';
import { LogFilter } from '../core/log-filter';
import { logEvents } from '../core/log-subscriber';
import { createLogger } from '../core/logger';

/** In a child, standard output is a pipe to the primary for stray lines; the log goes past it. */
export const CHILD_LOG_FD = 4;

export interface ProcessLog {
  readonly events: Events;
  /** Goes on in a new file after a log rotation. */
  readonly reopen: () => void;
}

/**
 * The events of this process, with the one subscriber that logs them, and a watch over its file descriptors.
 * @param name how log lines call the process.
 * @param fd where the log goes: 1, or CHILD_LOG_FD in a child.
 */
export function openLog(config: Config, name: string, fd = 1): ProcessLog {
  const events = new Events();
  const destination = openLogDestination(config.log, fd);
  logEvents(events, createLogger(config, name, destination, new LogFilter(events)));
  destination.onDropped((count) =>
    events.emit('process.warning', {
      message: `${count} log line(s) were dropped: nobody read what this process wrote. See what standard output goes to.`,
    }),
  );
  // The pipe breaks when the primary dies: a stray line is no reason to die as well.
  if (fd !== 1) for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  new DescriptorWatch(events).start();
  return { events, reopen: () => destination.reopen() };
}

export interface UncaughtRules {
  /** true: the error is known to be the fault of one piece of work, which has been made to answer for it. */
  readonly contain?: (error: Error) => boolean;
  /** Whether the process may go on after this rejection, which was logged. */
  readonly outlives?: () => boolean;
}

/**
 * An error that nobody caught leaves the process in an unknown state: it is logged, and `leave` winds the process up
 * as gently as it still can. A second one ends it at once.
 */
export function onUncaught(
  events: Events,
  leave: () => Promise<unknown>,
  { contain = () => false, outlives = () => false }: UncaughtRules = {},
): void {
  let leaving = false;
  process.on('uncaughtException', (thrown: unknown, origin) => {
    const error = toError(thrown);
    if (contain(error)) return;
    events.emit('process.error', { error, during: 'uncaught' });
    if (origin === 'unhandledRejection' && outlives()) return;
    if (leaving) process.exit(1);
    leaving = true;
    leave().then(
      () => process.exit(1),
      () => process.exit(1),
    );
  });
}
