import fs from 'node:fs';

/** A primary's process title. The system cuts it to the length of the command line that it replaces. */
const TITLE = /^catamount(: p|:? ?\0*$)/;

/** What is known of a pid that was once a primary's. */
export type PrimaryProcess = 'gone' | 'alive' | 'another program';

/** A pid says little by itself: the system gives it to another program some day, or at once in a new container. */
export function lookAt(pid: number): PrimaryProcess {
  if (!exists(pid)) return 'gone';
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Ended, but its parent has not asked for its exit code yet.
    if (/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))) return 'gone';
    return TITLE.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ? 'alive' : 'another program';
  } catch {
    // No /proc here, or it ended while we looked.
    return exists(pid) ? 'alive' : 'gone';
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
