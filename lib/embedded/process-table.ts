import fs from 'node:fs';
import { run } from './server-process';

/** What the system tells of a process by its id. Linux has /proc, other systems `ps`. */
const hasProc = fs.existsSync('/proc/self/stat');

/** A zombie, which some containers' first process never collects, counts as gone. */
export function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid < 1) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const state = statFields(pid)?.[0];
  return state !== 'Z' && state !== 'X';
}

/** When a process started, as opaque text: with its id it names one process for good, whoever gets the id later. */
export async function startedAt(pid: number): Promise<string | undefined> {
  if (hasProc) return statFields(pid)?.[19];
  return (await ps(pid, 'lstart=')) || undefined;
}

/** Whether `argument` is one of the arguments the process was started with. */
export async function hasArgument(pid: number, argument: string): Promise<boolean> {
  if (hasProc) return readProc(pid, 'cmdline')?.split('\0').includes(argument) ?? false;
  return ` ${await ps(pid, 'command=')} `.includes(` ${argument} `);
}

/** The fields of /proc/<pid>/stat from the third (the state) on. The second, the name, may hold anything. */
function statFields(pid: number): string[] | undefined {
  const stat = hasProc ? readProc(pid, 'stat') : undefined;
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

async function ps(pid: number, column: string): Promise<string> {
  return (await run({ argv: ['ps', '-ww', '-o', column, '-p', String(pid)] }).catch(() => '')).trim();
}
