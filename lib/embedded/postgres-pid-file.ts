import fs from 'node:fs';
import path from 'node:path';

/** What Postgres writes of itself into `postmaster.pid`, and reads at its next start. */
export interface PidFile {
  readonly pid: number;
  readonly port: number;
  readonly status: string;
}

const PORT = 3;
const STATUS = 7;

export function readPidFile(dataDir: string): PidFile | undefined {
  try {
    const lines = fs.readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n');
    return { pid: Number(lines[0]), port: Number(lines[PORT]), status: lines[STATUS]?.trim() ?? '' };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The port of the last run, which Postgres leaves in the record of its command line. */
export function lastPort(dataDir: string): number | undefined {
  const file = path.join(dataDir, 'postmaster.opts');
  const port = fs.existsSync(file) ? /"-p" "(\d+)"/.exec(fs.readFileSync(file, 'utf8'))?.[1] : undefined;
  return port === undefined ? undefined : Number(port);
}

/**
 * For a file that a server which is gone has left. Some other program may have its pid by now, or the system still list
 * it: Postgres would take it for a living server and refuse to start. Naming its parent-to-be instead, which Postgres
 * knows it cannot be running as, keeps the rest of the file, by which it makes sure that no process of the former
 * server still uses the data. Deleting the file would give that up.
 */
export function disownPidFile(dataDir: string): void {
  const file = path.join(dataDir, 'postmaster.pid');
  if (!fs.existsSync(file)) return;
  const [, ...rest] = fs.readFileSync(file, 'utf8').split('\n');
  fs.writeFileSync(file, [process.pid, ...rest].join('\n'));
}
