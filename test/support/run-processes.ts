import path from 'node:path';
import { descendants, hasVariable, type ProcessRow, processes } from './processes';
import { LANE_FOLDER, RUN_FOLDER } from './temp-folder';

const MARK = 'CATAMOUNT_TEST_RUN';

/** Marks the environment, so that all processes started from now on can be recognized even when reparented. */
export function markProcesses(): void {
  process.env[MARK] = LANE_FOLDER;
}

/** @returns the live processes that this lane has started: its descendants, and those with its mark or its folder. */
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
