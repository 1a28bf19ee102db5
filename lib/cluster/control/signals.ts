import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { toError } from '../../support/to-error';
import { STOP_SIGNALS } from '../operator-signals';
import type { Operations } from '../status';
import { TREE_COMMANDS, type TreeCommand } from './commands';

/** The table's signals without those that stop the tree. */
function operatorSignals(): { readonly signal: NodeJS.Signals; readonly command: TreeCommand }[] {
  return TREE_COMMANDS.filter(({ signals }) => signals !== STOP_SIGNALS).flatMap((command) =>
    command.signals.map((signal) => ({ signal, command })),
  );
}

/**
 * In the primary: each signal of the table runs its command. A refusal, such as removing the only worker, becomes a
 * warning in the log, since nobody waits for an answer.
 * @returns a function that removes the handlers.
 */
export function onOperatorSignals(operations: Operations, events: Events): () => void {
  const run = async (signal: NodeJS.Signals, command: TreeCommand) => {
    events.emit('operator.command', { command: command.name, via: `signal:${signal}` });
    try {
      await command.run(operations, 0);
    } catch (thrown) {
      const during = `${signal} (${command.name})`;
      if (thrown instanceof UserError) events.emit('process.warning', { message: `${during}: ${thrown.message}` });
      else events.emit('process.error', { error: toError(thrown), during });
    }
  };
  const handlers = operatorSignals().map(({ signal, command }) => {
    const handler = () => void run(signal, command);
    // `once` would let a second signal of the same kind end the process.
    process.on(signal, handler);
    return { signal, handler };
  });
  return () => {
    for (const { signal, handler } of handlers) process.off(signal, handler);
  };
}
