import { ignoreOperatorSignals } from '../../cluster/operator-signals';
import { FORKED, type ParentChannel } from '../../cluster/parent-channel';
import { RequestJournal } from '../../cluster/request-journal';
import { TreeCarrier } from '../../cluster/tree-carrier';
import { Worker } from '../../cluster/worker';
import { inheritedConfig, inlineParts } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import { CHILD_LOG_FD, onUncaught, openLog } from '../../core/logging';
import { collectGarbage } from '../../internals/gc';
import { Deadline } from '../../support/deadline';
import { toError } from '../../support/to-error';
import type { AppDefinition } from '../app/app-definition';
import type { WebRole } from './web';

/** What a web in the primary's process is given. */
interface Within {
  readonly parent: ParentChannel;
  /** Called once it has connected. */
  readonly onWeb: (web: WebRole) => void;
}

/** Time for a worker with an uncaught error to await its successor and finish its requests, ms. */
const LAST_MS = 5000;

/**
 * Runs in a process that throng or the primary has forked, or as a part of the primary's. It loads the web when the primary
 * assigns its slot.
 * @param within set in the primary's process.
 */
export async function runWebWorker(app: AppDefinition, within?: Within): Promise<void> {
  const config = inheritedConfig();
  if (!within) ignoreOperatorSignals({ givesStacks: true });
  const parent = within?.parent ?? FORKED;
  const worker = new Worker(config.shutdownTimeoutMs, parent);
  const { slot } = await worker.assigned.promise;
  parent.title = `catamount: web ${slot}`;
  const events = openLog(config, `web.${slot}`, within ? 1 : CHILD_LOG_FD, within !== undefined);
  if (!within) onUncaught(events, () => worker.leaveAfterError(Deadline.after(LAST_MS)));
  try {
    const { WebRole } = await import('./web');
    const note = within ? undefined : RequestJournal.open(config.stateDir);
    // A process that runs all has no siblings.
    const siblings = inlineParts(config).all ? undefined : new TreeCarrier(events, parent);
    const web = new WebRole(app, config, events, worker.tree, siblings, note, slot);
    await web.expectConnections();
    within?.onWeb(web);
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
