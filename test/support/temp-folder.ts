import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * Everything a run of the tests writes lies below this folder, so a process whose command line names it is of this run.
 * Short: a unix socket's path may have 107 characters.
 */
export const RUN_FOLDER = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'cat-')));
// Other users' processes, which some tests start, must get through to theirs.
fs.chmodSync(RUN_FOLDER, 0o711);
// For a run that does not get as far as its end: a test file that cannot be loaded, say.
process.once('exit', () => removeFolder(RUN_FOLDER));

/** A fresh folder, removed at the end of the run at the latest. */
export function tempFolder(name = 'test'): string {
  return fs.mkdtempSync(path.join(RUN_FOLDER, `${name}-`));
}

export function removeFolder(folder: string): void {
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
