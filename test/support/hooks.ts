import type { ProcessRow } from './processes';
import { markProcesses, processesOfRun } from './run-processes';
import { stopSharedPostgres } from './shared-postgres';
import { RUN_FOLDER, removeFolder } from './temp-folder';
import { until } from './until';

markProcesses();

/** How long processes that are on their way out may take. */
const GOING_MS = 2000;
/** How long open handles may keep the run alive after its end. */
const HANDLES_MS = 5000;

/** Fails the run when a test left a process or an open handle behind. */
export async function mochaGlobalTeardown(): Promise<void> {
  await stopSharedPostgres();
  // Not before: that Postgres stops may take a while, and has handles open until then.
  setTimeout(failForHandles, GOING_MS + HANDLES_MS).unref();
  const gone = () => leftBehind().length === 0;
  await until('every process that a test started has ended', gone, { timeoutMs: GOING_MS })
    .catch(failForProcesses)
    .finally(() => removeFolder(RUN_FOLDER));
}

function leftBehind(): ProcessRow[] {
  // The compiler behind tsx lives as long as we do.
  return processesOfRun().filter(({ command }) => !command.includes('esbuild'));
}

function failForProcesses(): never {
  const left = leftBehind();
  for (const { pid } of left) process.kill(pid, 'SIGKILL');
  const list = left.map(({ pid, ppid, command }) => `pid ${pid} of ${ppid}: ${command.slice(0, 200)}`);
  throw new Error(`Tests left ${left.length} process(es) behind, killed now:\n${list.join('\n')}`);
}

/** Runs only if something keeps the process alive after everything is done. */
function failForHandles(): void {
  process.stderr.write(`\nTests left open handles behind: ${process.getActiveResourcesInfo().join(', ')}\n`);
  // Mocha sets the code in a listener of its own, before this one.
  process.once('exit', () => {
    process.exitCode = 1;
  });
  process.exit();
}
