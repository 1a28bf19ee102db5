import type { Config } from '../core/config';
import { toError } from '../core/errors';
import { Events } from '../core/events';
import { logEvents } from '../core/log-subscriber';
import { createLogger } from '../core/logger';

/** The events of this process, with the one subscriber that logs them. @param name how log lines call the process. */
export function openEvents(config: Config, name: string): Events {
  const events = new Events();
  logEvents(events, createLogger(config, name));
  return events;
}

/**
 * An error that nobody caught leaves the process in an unknown state: it is logged, and `leave` winds the process up
 * as gently as it still can. A second one ends it at once.
 */
export function onUncaught(events: Events, leave: () => Promise<unknown>): void {
  let leaving = false;
  process.on('uncaughtException', (thrown: unknown) => {
    events.emit('process.error', { error: toError(thrown), during: 'uncaught' });
    if (leaving) process.exit(1);
    leaving = true;
    leave().then(
      () => process.exit(1),
      () => process.exit(1),
    );
  });
}
