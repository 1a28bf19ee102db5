import type { Benchmark } from './benchmarks';
import { dead } from './growth/dead';
import { queued } from './growth/queued';
import { users } from './growth/users';

/** The levels take turns, so that what slows the machine slows all of them. */
export const growth: Benchmark = {
  about: 'what a job and a sign-up cost with 10^3 to 10^6 jobs queued, jobs died, users there (--quick: to 10^5)',
  peers: true,
  async run(bench) {
    return { ...(await queued(bench)), ...(await dead(bench)), ...(await users(bench)) };
  },
};
