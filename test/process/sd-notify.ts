import assert from 'node:assert/strict';
import fs from 'node:fs';
import { order, statsOf } from '../cluster/primary/operator';
import type { Tree } from '../support/tree';
import { until } from '../support/until';

/** One message to the manager of services: the process that sent it, or on whose behalf, and its lines. */
export interface Told {
  readonly pid: number;
  readonly lines: readonly string[];
}

/** Reads what was received in this form: the process, a tab, and the lines with a tab between them. */
export function readTold(file: string): Told[] {
  const text = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '';
  // The last piece is still being written, or empty.
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [pid, ...lines] = line.split('\t');
      return { pid: Number(pid), lines };
    });
}

/** Of a tree with one worker and WATCHDOG_USEC=1000000. @param told everything received until now. */
export async function assertTellsItsLife(tree: Tree, told: () => readonly Told[]): Promise<void> {
  const all = () => told().map(({ lines }) => lines.join(' '));
  const count = (line: string) => told().filter(({ lines }) => lines.includes(line)).length;
  const hasStatus = (status: string) => until(status, () => count(`STATUS=${status}`) > 0);
  await hasStatus('1 of 1 worker ready, phase 0; job processor ready');
  assert.equal(all()[0], 'READY=1');
  await until('the watchdog is fed', () => count('WATCHDOG=1') >= 3);

  const now = () => process.hrtime.bigint() / 1000n;
  const before = now();
  await order(tree, 'phased-restart');
  await hasStatus('1 of 1 worker ready, phase 1; job processor ready');
  await order(tree, 'restart');
  const later = await statsOf(tree);
  // Two of each, and that of the new primary.
  await until('both restarts are told', () => count('RELOADING=1') === 2 && count('READY=1') === 4);
  const reloads = told().filter(({ lines }) => lines.includes('RELOADING=1'));
  const clocks = reloads.map(({ lines }) => BigInt(/^MONOTONIC_USEC=(\d+)$/.exec(lines[1] ?? '')?.[1] ?? -1));
  const [phased = 0n, hot = 0n] = clocks;
  assert.ok(before < phased && phased < hot && hot < now(), clocks.join());

  const feeds = (own: boolean) =>
    told().filter(({ pid, lines }) => lines.includes('WATCHDOG=1') && (pid === later.pid) === own);
  await until('the new primary feeds the watchdog', () => feeds(true).length > 0);
  await until('the old tree is gone', () => tree.linesMatching(/stopped in .*, 0 killed/).length === 1);
  const [others, own] = [feeds(false).length, feeds(true).length];
  await until('it goes on', () => feeds(true).length >= own + 3);
  assert.equal(feeds(false).length, others, 'only the primary that serves feeds it, so that its standstill is noticed');

  const from = told().length;
  assert.equal((await tree.stop()).code, 0);
  await tree.allGone();
  const last = all().slice(from);
  assert.ok(last.includes('STOPPING=1'), last.join());
  assert.deepEqual(
    last.slice(last.indexOf('STOPPING=1')).filter((line) => !/^(STOPPING|WATCHDOG)=1$/.test(line)),
    [],
  );
}
