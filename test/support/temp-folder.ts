import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const FOLDER = 'CATAMOUNT_TEST_FOLDER';

/** Everything that a run of the tests writes lies below this folder. Its maker removes it, whatever becomes of the run. */
export const RUN_FOLDER = process.env[FOLDER] ?? makeRunFolder();

/**
 * What this lane writes lies below this folder, so that a process whose command line names it is of this lane.
 * Short: a unix socket's path may have 107 characters.
 */
export const LANE = process.env.MOCHA_WORKER_ID ?? 'm';
export const LANE_FOLDER = path.join(RUN_FOLDER, LANE);
fs.mkdirSync(LANE_FOLDER, { recursive: true });
// Other users' processes, which some tests start, must get through to theirs.
fs.chmodSync(LANE_FOLDER, 0o711);

/** A fresh folder, removed at the end of the run at the latest. */
export function tempFolder(name = 'test'): string {
  return fs.mkdtempSync(path.join(LANE_FOLDER, `${name}-`));
}

export function removeFolder(folder: string): void {
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** For a mocha that was started by hand, without the runner. */
function makeRunFolder(): string {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'cat-')));
  fs.chmodSync(folder, 0o711);
  process.env[FOLDER] = folder;
  process.once('exit', () => removeFolder(folder));
  return folder;
}
