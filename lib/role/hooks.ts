import { toError } from '../core/errors';
import type { EventMap, EventName, Events } from '../core/events';

/** Which event each hook hears. */
const HEARS = {
  /** The tree serves. */
  booted: 'primary.listening',
  workerBoot: 'worker.forked',
  workerReady: 'worker.ready',
  workerExit: 'worker.exited',
  /** A phased restart is complete. */
  phase: 'phase.completed',
  processorExit: 'processor.exited',
  stopping: 'primary.stopping',
  stopped: 'primary.stopped',
} as const satisfies Readonly<Record<string, EventName>>;

/** What an app can hear of the tree's life. Hooks run in the primary, are not waited for, and cannot harm it. */
export type Hooks = {
  readonly [H in keyof typeof HEARS]?: (event: EventMap[(typeof HEARS)[H]]) => unknown;
};

/** Calls the app's hooks from now on. One that throws or rejects is reported, and that is all. */
export function callHooks(hooks: Hooks, events: Events): void {
  for (const [name, event] of Object.entries(HEARS)) {
    const hook = hooks[name as keyof Hooks] as ((payload: unknown) => unknown) | undefined;
    if (!hook) continue;
    events.on(event, (payload) => {
      const report = (thrown: unknown) => {
        events.emit('process.error', { error: toError(thrown), during: `the app's hook ${name}` });
      };
      try {
        Promise.resolve(hook(payload)).catch(report);
      } catch (thrown) {
        report(thrown);
      }
    });
  }
}
