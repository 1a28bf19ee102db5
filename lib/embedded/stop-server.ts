import type { Deadline } from '../support/deadline';
import type { EmbeddedServer, RunningServer } from './embedded-server';
import { poll } from './poll';
import { hasArgument } from './process-table';

/** Left of the deadline for what comes after force: the end of the keeper and of the claim. */
const RESERVE_MS = 250;

/** Asks a server to stop and waits until it has; ends it by force shortly before the deadline. */
export async function stopServer(
  server: EmbeddedServer,
  { process: target }: RunningServer,
  deadline: Deadline,
): Promise<void> {
  // A server that was found is not our child: it may have ended unnoticed, and its pid be anybody's.
  if (target.gone() || !(await hasArgument(target.pid, server.mark))) return;
  signal(target.pid, `SIG${server.stopSignal}`);
  if (await poll(target.gone, deadline.earlier(RESERVE_MS))) return;
  signal(target.pid, 'SIGKILL');
  await poll(target.gone, deadline);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It went by itself.
  }
}
