import type { Events } from '../../core/events';
import { PeriodicTask } from '../../support/periodic-task';
import type { ChildHandle, HeartbeatLimits } from './child-handle';

/** Interval of the search for unresponsive children, ms. */
const WATCH_INTERVAL_MS = 500;

/** Kills children that are unresponsive or not ready in time; their owners replace them. The caller starts the task. */
export function killUnresponsive(
  children: () => readonly ChildHandle[],
  limits: HeartbeatLimits,
  events: Events,
): PeriodicTask {
  return new PeriodicTask({
    everyMs: WATCH_INTERVAL_MS,
    work: async () => {
      for (const child of children()) child.watch(limits);
      return undefined;
    },
    onError: (error) => events.emit('process.error', { error, during: 'looking for children that do not answer' }),
  });
}
