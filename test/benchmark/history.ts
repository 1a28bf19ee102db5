import type { Benchmark } from './benchmarks';
import { CELLS, nameOf, section } from './jobs';

/** The first is the one that is judged: it should have 0.97 of the other's speed at least. */
const CONTENDERS = ['catamount', 'catamount, no history'] as const;

/** What it costs jobs that operators are told what became of them, where nothing else costs anything. */
export const history: Benchmark = {
  about: 'no-op jobs a second with their history, and without',
  peers: false,
  async run(bench) {
    const cells = CELLS.filter(({ rttMs, concurrency }) => rttMs === 0 && (concurrency === 2 || concurrency === 10));
    const wanted = cells.filter((cell) => bench.wants(nameOf(cell)));
    bench.say(`jobs a second: median of ${bench.rounds} interleaved rounds (lowest–highest)\n`);
    return section(bench, 'straight in Redis', wanted, CONTENDERS);
  },
};
