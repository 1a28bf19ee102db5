import os from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { markProcesses, processesOfRun } from '../../support/run-processes';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** How long all may take to be gone, ms. What the kernel is still writing for them is not ours to hurry. */
const GONE_MS = 10_000;

/** A run that is told to stop takes everything along that it has started: processes, trees, Redis, Postgres. */
export function endOnSignals(): void {
  markProcesses();
  let ending = false;
  for (const signal of SIGNALS) {
    // A terminal sends it to npm as well, which passes it on: it comes twice.
    process.on(signal, () => {
      if (ending) return;
      ending = true;
      process.stderr.write(`\n${signal}: ending everything that was started\n`);
      void endWhatIsLeft().then(() => process.exit(128 + os.constants.signals[signal]));
    });
  }
}

/** Also of a run that failed half-way. */
export async function endWhatIsLeft(): Promise<void> {
  const end = performance.now() + GONE_MS;
  // Whoever waits for one of them is told that it died, and may start another before it gives up.
  for (let left = processesOfRun(); left.length > 0 && performance.now() < end; left = processesOfRun()) {
    for (const { pid, command } of left) kill(pid, command);
    await wait(50);
  }
}

/** Postgres must take its own processes along, and gives its shared memory back: it is not killed, but told to be quick. */
function kill(pid: number, command: string): void {
  if (/^postgres: /.test(command)) return;
  try {
    process.kill(pid, /\/postgres -D /.test(command) ? 'SIGQUIT' : 'SIGKILL');
  } catch {
    // It went by itself.
  }
}
