import { type FromProcessor, isOurs, type ProcessorOrder, type ToProcessor } from '../cluster/messages';
import { OperationsByIpc } from '../cluster/operations-by-ipc';
import { onJobEvents } from '../cluster/recent-events';
import { ignoreOperatorSignals } from '../control/signals';
import { handedOnConfig } from '../core/environment';
import { EXIT, toError, UserError } from '../core/errors';
import { collectGarbage } from '../core/garbage';
import { OutOfBandCollector } from '../core/out-of-band-collector';
import type { Lineage } from '../job/processor';
import { Deadline } from '../support/deadline';
import type { AppDefinition } from './app-definition';
import { CHILD_LOG_FD, onUncaught, openLog } from './process-log';
import { ProcessorProcess } from './processor-process';

const HEARTBEAT_MS = 1000;

/** The job processor: a child of the primary that runs jobs until it is told to stop or the primary is gone. */
export async function runProcessor(app: AppDefinition, lineage: Lineage): Promise<void> {
  const config = handedOnConfig();
  ignoreOperatorSignals();
  process.title = 'catamount: jobs';
  const { events, reopen } = openLog(config, 'jobs', CHILD_LOG_FD);
  const onOrder = (order: ProcessorOrder) => tellPrimary({ catamount: 'order', order });
  onJobEvents(events, (event) => tellPrimary({ catamount: 'happened', event }));
  const tree = new OperationsByIpc(tellPrimary);
  const jobs = new ProcessorProcess(app, config, events, lineage, tree, onOrder);
  let stopping: Promise<void> | undefined;
  // Signals and messages come repeatedly: the first sets the deadline.
  const stop = async (ms: number): Promise<void> => {
    stopping ??= jobs.stop(Deadline.after(ms));
    await stopping;
  };
  const stopAndExit = (ms: number): void => {
    stop(ms).then(
      () => process.exit(EXIT.ok),
      (error: unknown) => {
        events.emit('process.error', { error: toError(error), during: 'stopping the job processor' });
        process.exit(EXIT.failed);
      },
    );
  };
  process.on('message', (message: unknown) => {
    if (!isOurs<ToProcessor>(message)) return;
    if (message.catamount === 'stop') stopAndExit(message.remainingMs);
    else if (message.catamount === 'quiet') jobs.quiet();
    else if (message.catamount === 'resume') jobs.resume();
    else if (message.catamount === 'take-over') jobs.takeOver(message.identity);
    else if (message.catamount === 'reopen-log') reopen();
    else if (message.catamount === 'scribe') jobs.appointScribe(message.on);
    else if (message.catamount === 'answer') tree.hear(message);
    else collectGarbage();
  });
  process.on('disconnect', () => stopAndExit(config.shutdownTimeoutMs));
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopAndExit(config.shutdownTimeoutMs));
  // Where no job is known to be the cause, the running ones go back to the queue's head: none can be trusted to finish.
  onUncaught(events, () => stop(0), { contain: (error) => jobs.contain(error) });
  try {
    await jobs.start();
    tellPrimary({ catamount: 'ready' });
    const collector = new OutOfBandCollector();
    let ended = 0;
    const beat = () => {
      const [status, work] = [jobs.status(), jobs.work()];
      tellPrimary({ catamount: 'heartbeat', status, work });
      ended += work.processed + work.failed;
      collector.look(status.in_flight.length, ended);
    };
    beat();
    setInterval(beat, HEARTBEAT_MS);
  } catch (thrown) {
    const error = toError(thrown);
    events.emit('process.error', { error, during: 'starting the job processor' });
    const exitCode = error instanceof UserError ? error.exitCode : EXIT.failed;
    const exit = () => process.exit(exitCode);
    const failure = { catamount: 'failed', message: error.message, exitCode, final: exitCode === EXIT.config } as const;
    if (process.connected) process.send?.(failure satisfies FromProcessor, undefined, undefined, exit);
    else exit();
  }
}

function tellPrimary(message: FromProcessor): void {
  if (process.connected) process.send?.(message);
}
