import path from 'node:path';
import { descendants, hasVariable, type ProcessRow, processes } from './processes';
import { LANE_FOLDER, RUN_FOLDER } from './temp-folder';

const MARK = 'CATAMOUNT_TEST_RUN';

/** Every process that this one starts from now on can be told from all others, however far it gets from us. */
export function markProcesses(): void {
  process.env[MARK] = LANE_FOLDER;
}

/** What this lane has started and what is alive of it: by descent, by the mark it inherited, or by working in our folder. */
export function processesOfRun(): ProcessRow[] {
  const rows = processes();
  const kin = new Set(descendants(process.pid, rows).map((row) => row.pid));
  // Of a single lane we are the parent of the run's Postgres, which starts processes of its own whenever it likes.
  const shared = rows.filter(({ command }) => command.includes(path.join(RUN_FOLDER, 'shared')));
  const others = new Set(shared.flatMap(({ pid }) => [pid, ...descendants(pid, rows).map((row) => row.pid)]));
  return rows.filter(
    ({ pid, command }) =>
      pid !== process.pid &&
      !others.has(pid) &&
      // The compiler behind tsx lives as long as we do.
      !command.includes('esbuild') &&
      (kin.has(pid) || command.includes(`${LANE_FOLDER}/`) || hasVariable(pid, `${MARK}=${LANE_FOLDER}`)),
  );
}
