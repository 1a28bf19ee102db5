/** The signals that stop the tree. `role/start/primary` handles them: they must work before there is anything else to operate. */
export const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** The other signals by which operators command a tree; the table in `control/commands` says what each does. */
export const COMMAND_SIGNALS = ['SIGUSR1', 'SIGUSR2', 'SIGTTIN', 'SIGTTOU', 'SIGTSTP', 'SIGPWR', 'SIGQUIT'] as const;
export type OperatorSignal = (typeof STOP_SIGNALS | typeof COMMAND_SIGNALS)[number];

/**
 * In workers and the job processor: a terminal and some platforms signal every process of the tree. Without a handler
 * Ctrl-Z would freeze the children, and a hang-up would kill them.
 * @param options.givesStacks leave SIGUSR1 to Node, which opens its inspector: the primary reads stacks by it, and closes it.
 */
export function ignoreOperatorSignals({ givesStacks = false } = {}): void {
  for (const signal of [...COMMAND_SIGNALS, 'SIGHUP'] as const) {
    if (signal !== 'SIGUSR1' || !givesStacks) process.on(signal, () => undefined);
  }
}
