import path from 'node:path';
import { Served } from '../frame/served';
import { CODE, ROOT } from '../frame/store';

export type Env = Readonly<Record<string, string>>;

const BARE = path.join(CODE, 'test/benchmark/boot/bare.js');
/** As the Procfile has it. */
const argsOf = (checkout: string) => [path.join(checkout, 'dist/server.js')];

/** Each is up once it answers that Postgres and Redis have answered it. */
export const STARTS = {
  /** A primary, two workers, a job processor. */
  catamount: (env) => start(argsOf(ROOT), env),
  /** The primary serves; the job processor is another process. */
  'catamount, no workers': (env) => start(argsOf(ROOT), { ...env, WEB_CONCURRENCY: '0' }),
  bare: (env) => start([BARE], env),
  'bare, node:cluster': (env) => start([BARE, '2'], env),
} as const satisfies Readonly<Record<string, (env: Env) => Promise<Served>>>;

export type Start = keyof typeof STARTS;

/** The tree of another checkout, which is built: see `--against`. */
export function startOther(checkout: string, env: Env): Promise<Served> {
  return start(argsOf(path.resolve(checkout)), env);
}

function start(args: readonly string[], env: Env): Promise<Served> {
  return Served.start({ args, env, readyPath: '/ready' });
}
