/**
 * Calls `stop` for each SIGTERM and SIGINT: platforms, npm and terminals send them repeatedly, so never only once.
 * @param hangup whether SIGHUP stops too, as in Puma without a log file: the terminal was closed.
 */
export function onStopSignals(stop: (reason: string) => void, hangup = false): void {
  for (const signal of ['SIGTERM', 'SIGINT', ...(hangup ? (['SIGHUP'] as const) : [])] as const)
    process.on(signal, () => stop(`got ${signal}`));
}

/** How often a tree started by npm looks whether npm is still there, ms. */
const PARENT_CHECK_MS = 1000;

/**
 * npm passes signals on, but cannot when it is killed itself; the tree would run on unseen. Only for a tree that npm
 * started: under a shell or an init, a new parent is no sign of anything.
 */
export function onNpmGone(startedByNpm: boolean, stop: (reason: string) => void): void {
  if (!startedByNpm) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop('npm, which started it, is gone');
  }, PARENT_CHECK_MS);
  timer.unref();
}
