import path from 'node:path';
import { Served } from '../frame/served';
import { CODE, ROOT } from '../frame/store';

type Env = Readonly<Record<string, string>>;

const BARE = path.join(CODE, 'test/benchmark/boot/bare.js');
/** As the Procfile has it. */
const OURS = ['--enable-source-maps', path.join(ROOT, 'dist/server.js')];

/** Each is up once it answers that Postgres and Redis have answered it. */
export const STARTS = {
  /** A primary, two workers, a job processor. */
  catamount: (env) => start(OURS, env),
  /** The primary serves; the job processor is another process. */
  'catamount, no workers': (env) => start(OURS, { ...env, WEB_CONCURRENCY: '0' }),
  bare: (env) => start([BARE], env),
  'bare, node:cluster': (env) => start([BARE, '2'], env),
} as const satisfies Readonly<Record<string, (env: Env) => Promise<Served>>>;

export type Start = keyof typeof STARTS;

function start(args: readonly string[], env: Env): Promise<Served> {
  return Served.start({ args, env, readyPath: '/ready' });
}
