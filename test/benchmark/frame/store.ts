import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** The checkout. npm runs its scripts there; servers that are measured run in folders of their own, and are told. */
export const ROOT = process.env.CATAMOUNT_BENCH_ROOT ?? process.cwd();
/** What `npm run bench` has compiled. */
export const CODE = path.resolve(__dirname, '../../..');
/** Git-ignored. */
export const RESULTS = path.join(ROOT, '.catamount/bench');

/** Keeps what was measured, with what it was measured on. @returns the file. */
export function store(name: string, results: object): string {
  fs.mkdirSync(RESULTS, { recursive: true });
  const at = new Date();
  const file = path.join(RESULTS, `${name}-${at.toISOString().replace(/[:.]/g, '-')}.json`);
  const machine = {
    node: process.version,
    cpu: os.cpus()[0]?.model,
    cores: os.availableParallelism(),
    load: os.loadavg(),
  };
  fs.writeFileSync(file, `${JSON.stringify({ name, at, commit: commit(), machine, ...results }, null, 2)}\n`);
  return file;
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: ROOT }).toString().trim();
  } catch {
    return 'unknown';
  }
}
