import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT } from '../frame/store';

const PEERS = path.join(ROOT, 'test/benchmark/peers');

/** A package that only the benchmarks know. */
export function peer<T>(name: string): T {
  return createRequire(path.join(PEERS, 'package.json'))(name) as T;
}
