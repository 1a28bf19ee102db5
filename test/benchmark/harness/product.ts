import { createRequire } from 'node:module';
import path from 'node:path';

// Processes whose memory is measured load this module: it imports nothing but parts of Node.

/** The checkout. npm runs its scripts there; a measured server, which runs in a folder of its own, is given the path. */
export const ROOT = process.env.CATAMOUNT_BENCH_ROOT ?? process.cwd();
/** Git-ignored. */
export const RESULTS = path.join(ROOT, '.catamount/bench');
/** The packages that the product is compared with. They have a lock of their own. */
export const PEERS = path.join(ROOT, 'test/benchmark/peers');

/** A module of the built product, which is what the benchmarks measure: `product<typeof import('../../../lib')>('lib')`. */
export function product<T>(module: string): T {
  return require(path.join(ROOT, 'dist', module)) as T;
}

/** A package from PEERS. It has no types here, since it is installed by the first run that needs it. */
export function peer<T>(name: string): T {
  return createRequire(path.join(PEERS, 'package.json'))(name) as T;
}

/** A user who signs up, or is sent a mail. */
export interface Person {
  readonly email: string;
  readonly name: string;
  readonly locale: 'en' | 'ko';
}

/** No person comes twice, and every other one reads Korean. */
export function person(n: number): Person {
  const email = `user${n}@example.com`;
  return n % 2 ? { email, name: `김민지 ${n} 🐈`, locale: 'ko' } : { email, name: `O'Brien <b> ${n}`, locale: 'en' };
}
