import path from 'node:path';
import { ROOT } from './store';

/** A module of the built product, which is what is to be measured: `product<typeof import('../../../lib')>('lib')`. */
export function product<T>(module: string): T {
  return require(path.join(ROOT, 'dist', module)) as T;
}
