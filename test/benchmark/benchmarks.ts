import { boot } from './boot';
import { enqueue } from './enqueue';
import { firstMail } from './first-mail';
import type { Bench } from './frame/bench';
import { growth } from './growth';
import { history } from './history';
import { jobs } from './jobs';
import { limit } from './limit';
import { mail } from './mail';
import { memory } from './memory';
import { million } from './million';
import { pickup } from './pickup';
import { sets } from './sets';
import { signUp } from './sign-up';
import { web } from './web';

export interface Benchmark {
  readonly about: string;
  /** Whether it needs what is compared with, which is then installed. */
  readonly peers: boolean;
  /** Prints as it goes. @returns what is to be kept, as JSON. */
  run(bench: Bench): Promise<object>;
}

/** All that `npm run bench -- <name>` knows. */
export const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  web,
  limit,
  boot,
  'sign-up': signUp,
  'first-mail': firstMail,
  jobs,
  history,
  pickup,
  enqueue,
  million,
  mail,
  memory,
  growth,
  sets,
};
