import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const FOLDER = 'CATAMOUNT_TEST_FOLDER';

/** All files of a test run are below this folder. The process that created it removes it, however the run ends. */
export const RUN_FOLDER = process.env[FOLDER] ?? makeRunFolder();

/** The name of this lane. It is short, since it is part of unix socket paths, which are limited to 107 bytes. */
export const LANE = process.env.MOCHA_WORKER_ID ?? 'm';
/** All files of this lane are below this folder, so a process with it on its command line belongs to this lane. */
export const LANE_FOLDER = path.join(RUN_FOLDER, LANE);
fs.mkdirSync(LANE_FOLDER, { recursive: true });
// Some tests start processes as other users, which must be able to reach their folders below this one.
fs.chmodSync(LANE_FOLDER, 0o711);

/** Creates an empty folder below the lane's. It is removed at the end of the run at the latest. */
export function tempFolder(name = 'test'): string {
  return fs.mkdtempSync(path.join(LANE_FOLDER, `${name}-`));
}

export function removeFolder(folder: string): void {
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** Creates the run's folder if mocha was started directly, without the runner that otherwise provides one. */
function makeRunFolder(): string {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'cat-')));
  fs.chmodSync(folder, 0o711);
  process.env[FOLDER] = folder;
  process.once('exit', () => removeFolder(folder));
  return folder;
}
