import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { toError } from '../../support/async';
import type { Operations } from '../status';
import { COMMANDS, type Command } from './commands';

/** Handled by `role/start/primary`: they must work before there is anything else to operate. */
const STOP_SIGNALS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP'];

/** The table's signals without those that stop the tree. */
function operatorSignals(): { readonly signal: NodeJS.Signals; readonly command: Command }[] {
  return COMMANDS.flatMap((command) =>
    command.signals.filter((signal) => !STOP_SIGNALS.includes(signal)).map((signal) => ({ signal, command })),
  );
}

/**
 * In the primary: each signal of the table runs its command. A refusal, such as removing the only worker, becomes a
 * warning in the log, since nobody waits for an answer.
 * @returns a function that removes the handlers.
 */
export function onOperatorSignals(operations: Operations, events: Events): () => void {
  const run = async (signal: NodeJS.Signals, command: Command) => {
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
