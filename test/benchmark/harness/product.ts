import { createRequire } from 'node:module';
import path from 'node:path';

// Processes whose memory is measured load this module, so it imports nothing but parts of Node.

/** The checkout: npm scripts run there. A measured server has a folder of its own and gets the path by variable. */
export const ROOT = process.env.CATAMOUNT_BENCH_ROOT ?? process.cwd();
/** Results are written here; git ignores the folder. */
export const RESULTS = path.join(ROOT, '.catamount/bench');
/** The packages that the product is compared with, installed from a lock file of their own. */
export const PEERS = path.join(ROOT, 'test/benchmark/peers');

/** Loads a module of the built product, which benchmarks measure: `product<typeof import('../../../lib')>('lib')`. */
export function product<T>(module: string): T {
  return require(path.join(ROOT, 'dist', module)) as T;
}

/** Loads a package from PEERS. It has no types here, since only the first run that needs it installs it. */
export function peer<T>(name: string): T {
  return createRequire(path.join(PEERS, 'package.json'))(name) as T;
}

export interface Person {
  readonly email: string;
  readonly name: string;
  readonly locale: 'en' | 'ko';
}

/** The n-th of any number of different users; every other one reads Korean. */
export function person(n: number): Person {
  const email = `user${n}@example.com`;
  return n % 2 ? { email, name: `김민지 ${n} 🐈`, locale: 'ko' } : { email, name: `O'Brien <b> ${n}`, locale: 'en' };
}
