import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../core/errors';
import { Deadline } from '../support/async';
import { makeFolder, type User } from './data-folder';
import { poll } from './server-lifecycle';
import { hasArgument, isAlive, runScript, type ScriptProcess, startedAt } from './server-process';

/** Timeout for the keeper of a previous run to stop its servers, ms. */
const KEEPER_TIMEOUT_MS = 30_000;

interface Holder {
  readonly pid: number;
  readonly role: 'primary' | 'keeper';
  readonly startedAt?: string;
}

/**
 * The exclusive right to run servers in a folder. Locks are numbered files, `<state folder>/claims/<n>`. The highest
 * number counts, and is free once its holder is dead or has released it. A process takes over by creating the next
 * number, which the file system allows to one process only. The highest file is never deleted, so numbers are not
 * reused: a process that recreates an old number finds a higher one next to it and has lost.
 */
export class FolderLock {
  private constructor(
    readonly folder: string,
    readonly number: number,
  ) {}

  /** @throws UserError if another Catamount runs in the state folder. */
  static async take(stateDir: string, actingFor: User | undefined): Promise<FolderLock> {
    const folder = path.join(stateDir, 'claims');
    makeFolder(folder, actingFor);
    const mine: Holder = { pid: process.pid, role: 'primary', startedAt: (await startedAt(process.pid)) ?? '' };
    for (;;) {
      const highest = highestNumber(folder);
      await waitUntilFree(folder, highest, stateDir);
      const lock = new FolderLock(folder, highest + 1);
      if (lock.create(mine) && highestNumber(folder) === lock.number) {
        lock.sweep();
        return lock;
      }
    }
  }

  release(): void {
    try {
      fs.writeFileSync(this.draft, 'released');
      fs.renameSync(this.draft, this.file(this.number));
    } catch {
      // The folder has been removed, so there is nothing left to lock.
    }
  }

  private get draft(): string {
    return path.join(this.folder, `draft-${process.pid}`);
  }

  private file(number: number): string {
    return path.join(this.folder, String(number));
  }

  /**
   * Creates the file as a link, so that it appears with its content or not at all.
   * @returns false if another process has the number.
   */
  private create(holder: Holder): boolean {
    fs.writeFileSync(this.draft, JSON.stringify(holder));
    try {
      fs.linkSync(this.draft, this.file(this.number));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    } finally {
      fs.rmSync(this.draft, { force: true });
    }
  }

  private sweep(): void {
    for (const number of numbers(this.folder)) {
      if (number < this.number) fs.rmSync(this.file(number), { force: true });
    }
  }
}

async function waitUntilFree(folder: string, number: number, stateDir: string): Promise<void> {
  const holder = await liveHolder(folder, number);
  if (holder === undefined) return;
  if (holder.role === 'keeper') {
    const free = async () => (await liveHolder(folder, number)) === undefined;
    if (await poll(free, Deadline.after(KEEPER_TIMEOUT_MS))) return;
  }
  throw new UserError(
    `Another Catamount, pid ${holder.pid}, runs in this folder (${stateDir}). ` +
      'Stop it first, or start this one in a checkout of its own.',
  );
}

async function liveHolder(folder: string, number: number): Promise<Holder | undefined> {
  let holder: Holder;
  try {
    holder = JSON.parse(fs.readFileSync(path.join(folder, String(number)), 'utf8')) as Holder;
  } catch (error) {
    // There is no lock yet, it has just been swept, or it has been released.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (!isAlive(holder.pid)) return undefined;
  const same =
    holder.role === 'keeper'
      ? await hasArgument(holder.pid, folder)
      : (await startedAt(holder.pid)) === holder.startedAt;
  return same ? holder : undefined;
}

function numbers(folder: string): number[] {
  return fs
    .readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function highestNumber(folder: string): number {
  return Math.max(0, ...numbers(folder));
}

/** Interval at which the keeper checks the locks, in seconds. */
const TICK = 0.2;

/**
 * The keeper's script. Arguments: $1 claims folder, $2 number of our lock, $3 ticks of grace. Each input line is
 * `<pid> <signal> <argument>`: a server, its stop signal, and an argument of its command line, which identifies it even
 * if another process gets its pid. The keeper takes the next number before it stops anything, so that a start at this
 * moment cannot reuse a server that is about to be stopped. It ignores signals, because a hosting platform, or a `kill`
 * of everything, sends them to all processes.
 */
const SCRIPT = `
trap '' HUP INT TERM
claims=$1 number=$2 ticks=$3 servers=
while read -r pid signal argument; do
  [ "$pid" = done ] && exit 0
  servers="$servers$pid $signal $argument
"
done
newer() {
  for claim in "$claims"/[0-9]*; do
    [ "\${claim##*/}" -gt "$number" ] 2>/dev/null && return 0
  done
  return 1
}
ours() {
  if [ -e /proc/self/cmdline ]; then tr '\\0' '\\n' 2>/dev/null <"/proc/$1/cmdline" | grep -Fqx -e "$2"
  else ps -ww -o command= -p "$1" | grep -Fq -e "$2"; fi
}
each() {
  printf %s "$servers" | while read -r pid signal argument; do
    ours "$pid" "$argument" && "$1" "$pid" "$signal"
  done
}
stop() { kill -s "$2" "$1"; }
end() { kill -s KILL "$1"; }
name() { echo "$1"; }
while [ "$ticks" -gt 0 ]; do
  newer && exit 0
  sleep ${TICK} || sleep 1
  ticks=$((ticks - 1))
done
if [ -d "$claims" ]; then
  number=$((number + 1)) draft="$claims/draft-$$"
  echo "{\\"pid\\":$$,\\"role\\":\\"keeper\\"}" >"$draft"
  ln "$draft" "$claims/$number" || { rm -f "$draft"; exit 0; }
  rm -f "$draft"
  newer && exit 0
fi
each stop
tries=0
while [ -n "$(each name)" ]; do
  [ $tries -eq 50 ] && each end
  tries=$((tries + 1))
  sleep ${TICK} || sleep 1
done
`;

export function startKeeper(lock: FolderLock, graceMs: number): ScriptProcess {
  const ticks = Math.ceil(graceMs / (TICK * 1000));
  return runScript(SCRIPT, 'catamount-keeper', [lock.folder, String(lock.number), String(ticks)]);
}

/**
 * A small process that outlives this one and stops the servers if nothing else does. Its input ends when this process
 * ends in any way, even by `kill -9`. It then waits for the grace period, so that the next start can reuse the servers.
 */
export class Keeper {
  private readonly script: ScriptProcess;

  constructor(lock: FolderLock, graceMs: number) {
    this.script = startKeeper(lock, graceMs);
  }

  watch(pid: number, signal: 'INT' | 'TERM', argument: string): void {
    this.script.input.write(`${pid} ${signal} ${argument}\n`);
  }

  /** Tells the keeper that everything has been stopped. Resolves when it has exited. */
  async dismiss(): Promise<void> {
    this.script.input.end('done\n');
    await this.script.exited;
  }
}
