import type { Benchmark } from './benchmarks';
import { type BurstsResult, burstsInTurn } from './frame/bursts';
import { compare } from './frame/compared';
import { startAll, stopAll } from './frame/servers';
import { Loader } from './load/loader';
import { startSingle } from './web/contenders';

const NAMES = ['ours', 'unlimited'] as const;
const BURST = 2000;
/** All in flight at once; most of them waiting for a slot. */
const CONNECTIONS = [4, 32];

/** One process that answers at once, with MAX_THREADS slots, and the same one without the limit. */
export const limit: Benchmark = {
  about: 'what it costs that requests take turns: the same app with and without the limit',
  peers: true,
  async run(bench) {
    const cells = CONNECTIONS.map((connections) => ({
      connections,
      rounds: { ours: [] as BurstsResult[], unlimited: [] as BurstsResult[] },
    }));
    const loader = new Loader();
    try {
      for (let round = 0; round < bench.rounds; round++) {
        const servers = await startAll(NAMES, startSingle);
        try {
          for (const { connections, rounds } of cells) {
            const result = await burstsInTurn(loader, servers, {
              bursts: bench.options.quick ? 8 : 16,
              warmUp: 4,
              amount: BURST,
              task: () => ({ method: 'GET', path: '/answer', connections }),
            });
            for (const name of NAMES) rounds[name].push(result[name]);
          }
        } finally {
          await stopAll(servers);
        }
      }
      for (const { connections, rounds } of cells) {
        const title = `${connections} connections`;
        bench.say(
          `\n${compare(rounds, { title, subject: 'ours', goals: { unlimited: { speed: { atLeast: 0.98 } } } })}`,
        );
      }
      return cells;
    } finally {
      await loader.end();
    }
  },
};
