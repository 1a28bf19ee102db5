import type { Service } from '../../support/service';
import type { AppDefinition, WorkerEnvironment } from './app-definition';

/** The app's own part of a web worker or the job processor: `workerBoot` and `workerStop`; undefined: it has neither. */
export function appService(app: AppDefinition, worker: WorkerEnvironment): Service | undefined {
  if (!app.workerBoot && !app.workerStop) return undefined;
  let started = false;
  return {
    name: 'the app',
    start: async () => {
      started = true;
      await app.workerBoot?.(worker);
    },
    stop: async (deadline) => {
      if (!started) return;
      const stopped = await deadline.wait(Promise.resolve(worker).then(app.workerStop ?? (() => undefined)));
      if (stopped !== 'done') throw new Error('workerStop of defineApp did not end in time');
    },
  };
}
