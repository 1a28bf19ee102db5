import path from 'node:path';
import { descendants, hasVariable, type ProcessRow, processes } from './processes';
import { LANE_FOLDER, RUN_FOLDER } from './temp-folder';

const MARK = 'CATAMOUNT_TEST_RUN';

/** Marks the environment, so that all processes started from now on are recognisable even when reparented. */
export function markProcesses(): void {
  process.env[MARK] = LANE_FOLDER;
}

/** Live processes that this lane started: its descendants, and those that have its mark or its folder's path. */
export function processesOfRun(): ProcessRow[] {
  const rows = processes();
  const kin = new Set(descendants(process.pid, rows).map((row) => row.pid));
  // A single lane is the parent of the run's Postgres, which starts processes of its own at any time.
  const shared = rows.filter(({ command }) => command.includes(path.join(RUN_FOLDER, 'shared')));
  const others = new Set(shared.flatMap(({ pid }) => [pid, ...descendants(pid, rows).map((row) => row.pid)]));
  return rows.filter(
    ({ pid, command }) =>
      pid !== process.pid &&
      !others.has(pid) &&
      // The compiler behind tsx lives as long as this process.
      !command.includes('esbuild') &&
      (kin.has(pid) || command.includes(`${LANE_FOLDER}/`) || hasVariable(pid, `${MARK}=${LANE_FOLDER}`)),
  );
}
