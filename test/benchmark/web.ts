import type { Benchmark } from './benchmarks';
import { type BurstsResult, burstsInTurn } from './frame/bursts';
import { compare } from './frame/compared';
import { startAll, stopAll } from './frame/servers';
import { Loader } from './load/loader';
import { WEB_CONTENDERS, type WebContender } from './web/contenders';

const CONNECTIONS = 32;
const BURST = 2000;

const GOALS = {
  'cluster + ours': { speed: { atLeast: 0.95 } },
  'pm2 + ours': { speed: { atLeast: 1 } },
};

/** One route that answers at once, in two workers, through all that is around it. */
export const web: Benchmark = {
  about: 'requests a second of the whole stack, two workers: against node:cluster, throng, pm2, bare node:http',
  peers: true,
  async run(bench) {
    const names = (Object.keys(WEB_CONTENDERS) as WebContender[]).filter(
      (name) => name === 'catamount' || bench.wants(name),
    );
    const rounds = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
      WebContender,
      BurstsResult[]
    >;
    const { env } = await bench.grounds();
    const loader = new Loader();
    try {
      for (let round = 0; round < bench.rounds; round++) {
        const servers = await startAll(names, (name) => WEB_CONTENDERS[name](env));
        try {
          const results = await burstsInTurn(loader, servers, {
            bursts: bench.options.quick ? 6 : 12,
            warmUp: 4,
            amount: BURST,
            task: () => ({ method: 'GET', path: '/answer', connections: CONNECTIONS }),
          });
          for (const name of names) rounds[name].push(results[name]);
        } finally {
          await stopAll(servers);
        }
      }
      bench.say(
        `\n${compare(rounds, { title: `GET, ${CONNECTIONS} connections`, subject: 'catamount', goals: GOALS })}`,
      );
      return { rounds };
    } finally {
      await loader.end();
    }
  },
};
