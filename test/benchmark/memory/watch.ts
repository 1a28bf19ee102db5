import { setTimeout as wait } from 'node:timers/promises';
import { type Memory, memoryOf } from '../frame/process-tree';
import type { Served } from '../frame/served';
import { median } from '../frame/statistics';

const EVERY_MS = 500;

/** The middle of what a tree takes over a while: a single look may catch it in the middle of a collection. */
export async function memoryOver(tree: Served, ms: number): Promise<Memory> {
  const looks: Memory[] = [];
  const end = performance.now() + ms;
  do {
    looks.push(memoryOf(tree.pids));
    await wait(EVERY_MS);
  } while (performance.now() < end);
  return { rssMb: median(looks.map(({ rssMb }) => rssMb)), pssMb: median(looks.map(({ pssMb }) => pssMb)) };
}
