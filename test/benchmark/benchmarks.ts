import { enqueue } from './enqueue';
import type { Bench } from './frame/bench';
import { jobs } from './jobs';
import { mail } from './mail';
import { million } from './million';
import { pickup } from './pickup';

export interface Benchmark {
  readonly about: string;
  /** Prints as it goes. @returns what is to be kept, as JSON. */
  run(bench: Bench): Promise<object>;
}

/** All that `npm run bench -- <name>` knows. */
export const BENCHMARKS: Readonly<Record<string, Benchmark>> = { jobs, pickup, enqueue, million, mail };
