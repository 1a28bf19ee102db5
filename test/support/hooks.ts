import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import type { Context, RootHookObject, Suite } from 'mocha';
import { leftoverDatabases } from './postgres';
import { markProcesses, processesOfRun } from './run-processes';
import { startSharedServers, stopSharedServers } from './shared-servers';
import { LANE, RUN_FOLDER } from './temp-folder';
import { until } from './until';

markProcesses();
// The same inputs in every run: a tier is not red by chance. `npm run fuzz` tries others.
fc.configureGlobal({ seed: Number(process.env.FUZZ_SEED ?? 20261126) });

const ROOT = path.resolve(__dirname, '../..');
/** Handles that Mocha and Node open and close as they like. */
const UNTOLD = new Set(['Timeout', 'Immediate', 'FSReqCallback', 'FSReqPromise', 'TTYWrap']);

/** Once for a run, before there are lanes. */
export async function mochaGlobalSetup(): Promise<void> {
  await startSharedServers();
}

export async function mochaGlobalTeardown(): Promise<void> {
  await stopSharedServers();
}

let begun = 0;
let before: { readonly pids: ReadonlySet<number>; readonly handles: readonly string[] };

/** Around every file, or, in one lane, around all of them: whoever leaves something behind is named. */
export const mochaHooks: RootHookObject = {
  beforeAll() {
    before = { pids: new Set(processesOfRun().map(({ pid }) => pid)), handles: handles() };
  },
  async afterAll(this: Context) {
    note(fileOf(this.test?.parent));
    try {
      await until('everything that this file has started has ended', () => leftovers().length === 0);
    } catch {
      const left = leftovers();
      for (const { pid } of newProcesses()) kill(pid);
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
  // With one lane, which then runs in Mocha's own process, the shared Postgres is ours, and has new parts now and then.
  const isPartOfKnown = (ppid: number, command: string) => before.pids.has(ppid) && command.startsWith('postgres: ');
  return processesOfRun().filter(({ pid, ppid, command }) => !before.pids.has(pid) && !isPartOfKnown(ppid, command));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself meanwhile.
  }
}

function handles(): string[] {
  return process.getActiveResourcesInfo().filter((handle) => !UNTOLD.has(handle));
}

/** How long a file took, loading it included: since the end of the one before. */
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
