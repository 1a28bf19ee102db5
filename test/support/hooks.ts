import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import type { Context, RootHookObject, Suite } from 'mocha';
import { dropLeftoverDatabases, leftoverDatabases } from './postgres';
import { markProcesses, processesOfRun } from './run-processes';
import { startSharedServers, stopSharedServers } from './shared-servers';
import { LANE, RUN_FOLDER } from './temp-folder';
import { until } from './until';

markProcesses();
// A fixed seed gives the same inputs in every run, so that no tier fails by chance. `npm run fuzz` uses others.
fc.configureGlobal({ seed: Number(process.env.FUZZ_SEED ?? 20261126) });

const ROOT = path.resolve(__dirname, '../..');
/** Mocha and Node open and close these handles themselves, so they are not a file's leak. */
const IGNORED = new Set(['Timeout', 'Immediate', 'FSReqCallback', 'FSReqPromise', 'TTYWrap']);

/** Runs once per run, in the main process, before the lanes are forked. */
export async function mochaGlobalSetup(): Promise<void> {
  await startSharedServers();
}

export async function mochaGlobalTeardown(): Promise<void> {
  await stopSharedServers();
}

let begun = 0;
let before: { readonly pids: ReadonlySet<number>; readonly handles: readonly string[] };

/** Runs around every file, or with one lane around all of them, and fails a file that leaks processes or handles. */
export const mochaHooks: RootHookObject = {
  beforeAll() {
    // It would end a process of the app, but Mocha says nothing. After the file Mocha removes this.
    process.on('unhandledRejection', (reason) => {
      throw reason;
    });
    before = { pids: new Set(processesOfRun().map(({ pid }) => pid)), handles: handles() };
  },
  async afterAll(this: Context) {
    note(fileOf(this.test?.parent));
    try {
      await until('everything that this file has started has ended', () => leftovers().length === 0);
    } catch {
      const left = leftovers();
      for (const { pid } of newProcesses()) kill(pid);
      await dropLeftoverDatabases();
      throw new Error(`This file left something behind; processes are killed now:\n${left.join('\n')}`);
    }
  },
};

function leftovers(): string[] {
  const processes = newProcesses().map(
    ({ pid, ppid, command }) => `process ${pid} of ${ppid}: ${command.slice(0, 200)}`,
  );
  const known = [...before.handles];
  const open = handles().filter((handle) => {
    const at = known.indexOf(handle);
    if (at >= 0) known.splice(at, 1);
    return at < 0;
  });
  const databases = leftoverDatabases().map((name) => `database ${name}`);
  return [...processes, ...open.map((handle) => `open handle ${handle}`), ...databases];
}

function newProcesses() {
  // A single lane runs in Mocha's own process, and is the parent of the shared Postgres, which forks as needed.
  const isPartOfKnown = (ppid: number, command: string) => before.pids.has(ppid) && command.startsWith('postgres: ');
  return processesOfRun().filter(({ pid, ppid, command }) => !before.pids.has(pid) && !isPartOfKnown(ppid, command));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function handles(): string[] {
  return process.getActiveResourcesInfo().filter((handle) => !IGNORED.has(handle));
}

/** Appends how long a file took, s, measured since the end of the previous one so that loading is included. */
function note(file: string): void {
  const end = performance.now();
  const seconds = Math.round((end - begun) / 100) / 10;
  begun = end;
  fs.appendFileSync(path.join(RUN_FOLDER, 'times'), `${JSON.stringify({ file, seconds, lane: LANE })}\n`);
}

function fileOf(root: Suite | undefined): string {
  const file = root?.suites[0]?.file ?? root?.tests[0]?.file ?? '?';
  return path.relative(ROOT, file);
}
