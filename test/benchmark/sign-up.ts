import path from 'node:path';
import type { Benchmark } from './benchmarks';
import { type BurstsResult, burstsInTurn } from './frame/bursts';
import { compare } from './frame/compared';
import { Served } from './frame/served';
import { CODE } from './frame/store';
import { Loader } from './load/loader';

const SERVER = path.join(CODE, 'test/benchmark/sign-up/server.js');
const PATHS = { outbox: '/outbox', 'no job': '/no-job', 'bee-queue after commit': '/bee-queue' } as const;
type Way = keyof typeof PATHS;
const WAYS = Object.keys(PATHS) as Way[];

/** As many as the tree serves at once: two workers with five slots each. */
const CONNECTIONS = 10;
const BURST = 300;

/** What works beside the workers. Nothing is performed: that is measured elsewhere. */
const CELLS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'workers alone': { JOB_PROCESSOR: '0' },
  'the relay copying to Redis': { JOB_QUEUES: 'default' },
};

/** One and the same tree has all ways, so that nothing else differs. */
export const signUp: Benchmark = {
  about: 'sign-ups a second, and their p99: with the job in the outbox, without a job, with bee-queue after the commit',
  peers: true,
  async run(bench) {
    const cells = Object.keys(CELLS)
      .filter((name) => bench.wants(name))
      .map((name) => ({
        name,
        rounds: { outbox: [], 'no job': [], 'bee-queue after commit': [] } as Record<Way, BurstsResult[]>,
      }));
    const grounds = await bench.grounds();
    const loader = new Loader();
    let burst = 0;
    try {
      for (let round = 0; round < bench.rounds; round++) {
        for (const { name, rounds } of cells) {
          await grounds.clear();
          const server = await Served.start({
            args: [SERVER],
            env: { ...grounds.env, ...CELLS[name] },
          });
          try {
            const results = await burstsInTurn(loader, sameFor(server), {
              bursts: bench.options.quick ? 6 : 16,
              warmUp: 4,
              amount: BURST,
              task: (way) => ({
                path: PATHS[way],
                method: 'POST',
                connections: CONNECTIONS,
                signUps: `user${++burst}`,
              }),
            });
            for (const way of WAYS) rounds[way].push(results[way]);
          } finally {
            await server.stop();
          }
        }
      }
      const goals = { 'no job': { speed: { atLeast: 0.8 }, p99: { atMost: 1.3 } } };
      for (const { name, rounds } of cells)
        bench.say(`\n${compare(rounds, { title: name, subject: 'outbox', goals })}`);
      return { cells };
    } finally {
      await loader.end();
    }
  },
};

function sameFor(server: Served): Record<Way, Served> {
  return { outbox: server, 'no job': server, 'bee-queue after commit': server };
}
