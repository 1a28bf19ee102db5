import { descendants, hasVariable, type ProcessRow, processes } from './processes';
import { stopSharedPostgres } from './shared-postgres';
import { RUN_FOLDER, removeFolder } from './temp-folder';
import { until } from './until';

/** Every process that a test starts inherits this, however far it gets from us. */
const MARK = { name: 'CATAMOUNT_TEST_RUN', value: RUN_FOLDER };
process.env[MARK.name] = MARK.value;

/** How long processes that are on their way out may take. */
const GOING_MS = 2000;
/** How long open handles may keep the run alive after its end. */
const HANDLES_MS = 5000;

/** Fails the run when a test left a process or an open handle behind. */
export async function mochaGlobalTeardown(): Promise<void> {
  setTimeout(failForHandles, HANDLES_MS).unref();
  await stopSharedPostgres();
  const gone = () => leftBehind().length === 0;
  await until('every process that a test started has ended', gone, { timeoutMs: GOING_MS })
    .catch(failForProcesses)
    .finally(() => removeFolder(RUN_FOLDER));
}

function leftBehind(): ProcessRow[] {
  const rows = processes();
  const kin = new Set(descendants(process.pid, rows).map((row) => row.pid));
  return rows.filter(
    ({ pid, command }) =>
      pid !== process.pid &&
      // The compiler behind tsx lives as long as we do.
      !command.includes('esbuild') &&
      (kin.has(pid) || command.includes(RUN_FOLDER) || hasVariable(pid, `${MARK.name}=${MARK.value}`)),
  );
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
