import { BegunNote } from '../cluster/begun-note';
import { Worker } from '../cluster/worker';
import { ignoreOperatorSignals } from '../control/signals';
import { handedOnConfig } from '../core/environment';
import { EXIT, toError, UserError } from '../core/errors';
import { Deadline } from '../support/deadline';
import type { AppDefinition } from './app-definition';
import { CHILD_LOG_FD, onUncaught, openLog } from './process-log';
import { WebProcess } from './web-process';

/** How long a worker with an uncaught error may wait for its successor and finish what it has, ms. */
const LAST_MS = 5000;

/** A forked web worker, from its first message to its last. */
export async function runWebWorker(app: AppDefinition): Promise<void> {
  const config = handedOnConfig();
  ignoreOperatorSignals();
  const worker = new Worker(config.shutdownTimeoutMs);
  const { slot } = await worker.assigned.promise;
  process.title = `catamount: web ${slot}`;
  const { events, reopen } = openLog(config, `web.${slot}`, CHILD_LOG_FD);
  worker.onReopenLog = reopen;
  onUncaught(events, () => worker.leaveAfterError(Deadline.after(LAST_MS)));
  try {
    const note = BegunNote.open(config.stateDir);
    const web = new WebProcess(app, config, events, worker.tree, note);
    await web.expectConnections();
    worker.ready(web, note?.file);
  } catch (thrown) {
    const error = toError(thrown);
    const final = error instanceof UserError;
    if (!final) events.emit('process.error', { error, during: 'boot' });
    worker.fail(error.message, final ? error.exitCode : EXIT.failed, final);
  }
}
