import { ignoreOperatorSignals } from '../../cluster/operator-signals';
import { RequestJournal } from '../../cluster/request-journal';
import { TreeCarrier } from '../../cluster/tree-carrier';
import { Worker } from '../../cluster/worker';
import { inheritedConfig } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import { CHILD_LOG_FD, onUncaught, openLog } from '../../core/logging';
import { collectGarbage } from '../../internals/gc';
import { Deadline } from '../../support/deadline';
import { toError } from '../../support/to-error';
import type { AppDefinition } from '../app/app-definition';

/** Time for a worker with an uncaught error to await its successor and finish its requests, ms. */
const LAST_MS = 5000;

/** Runs in a process that throng or the primary has forked. It loads the web when the primary assigns its slot. */
export async function runWebWorker(app: AppDefinition): Promise<void> {
  const config = inheritedConfig();
  ignoreOperatorSignals({ givesStacks: true });
  const worker = new Worker(config.shutdownTimeoutMs);
  const { slot } = await worker.assigned.promise;
  process.title = `catamount: web ${slot}`;
  const events = openLog(config, `web.${slot}`, CHILD_LOG_FD);
  onUncaught(events, () => worker.leaveAfterError(Deadline.after(LAST_MS)));
  try {
    const { WebRole } = await import('./web');
    const note = RequestJournal.open(config.stateDir);
    const web = new WebRole(app, config, events, worker.tree, new TreeCarrier(events), note, slot);
    await web.expectConnections();
    // Loading leaves a quarter of the process's memory as garbage.
    collectGarbage();
    const onError = (error: Error) => events.emit('process.error', { error, during: 'reporting the status' });
    worker.ready(web, onError, note?.file);
  } catch (thrown) {
    const error = toError(thrown);
    const final = error instanceof UserError;
    if (!final) events.emit('process.error', { error, during: 'boot' });
    worker.fail(error.message, final ? error.exitCode : EXIT.failed, final);
  }
}
